"""`jsf doctor`: what this machine has, what is wrong with it, and the command that mends each thing."""

from dataclasses import asdict

from rich.console import Console
from rich.text import Text

from jsf.data.errors import JsfError
from jsf.runtime.doctor import examine
from jsf.runtime.host import Host
from jsf.verbs.output import print_json

STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


def show_findings(json: bool) -> None:
    """Checks this machine, and prints each finding with its fix.

    Raises:
        JsfError: a finding is an error.
    """
    findings = examine(Host())
    if json:
        print_json({"findings": [asdict(finding) for finding in findings]})
    else:
        console = Console(markup=False, emoji=False, highlight=False)
        for finding in findings:
            line = Text.assemble((f"{finding.level:<8}", STYLES[finding.level]), f"{finding.check}: {finding.found}")
            console.print(line, soft_wrap=True)
            if finding.fix:
                console.print(f"{'':8}-> {finding.fix}", soft_wrap=True)
    if errors := [finding.check for finding in findings if finding.level == "error"]:
        raise JsfError(
            f"broken on this machine: {', '.join(dict.fromkeys(errors))}.", "Each finding above names its fix."
        )
