"""The one exception a user of jsf sees for a mistake that a user can fix."""


class JsfError(Exception):
    """What was found, what was expected, and the command that fixes it.

    The command line prints `message` and `fix` and exits with 1; it never shows a traceback for one of these.
    """

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(f"{message}\n{fix}" if fix else message)
        self.message = message
        self.fix = fix

    @property
    def line(self) -> str:
        """The message and the fix, in one line."""
        return str(self).replace("\n", " ")
