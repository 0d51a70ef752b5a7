"""INT8 graphs, with layers kept in higher precision one by one where the accuracy gate refuses them."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from jsf.calibration.report import GateError


class Measured(Protocol):
    """What a variant of the graphs costs."""

    @property
    def variant(self) -> str:
        """One of `VARIANTS`."""


M = TypeVar("M", bound=Measured)


def until_it_passes(
    write: Callable[[], list[M]],
    failures: Callable[[M], list[str]],
    costs: Callable[[int], dict[str, float]],
    kept: list[str],
    auto: bool,
    say: Callable[[str], None],
    fp32: str = "Score with --precision fp32",
) -> list[M]:
    """Writes and measures the variants; with `auto` again and again, each time with one layer less in INT8.

    Args:
        write: writes them but for the layers `kept`, and measures each.
        failures: of a measurement: what is worse than allowed.
        costs: the number of a variant -> what each of its layers costs, the costliest first.
        kept: layers in higher precision; grows.
        auto: whether it may.
        say: takes a line for the user, of what is decided on the way.
        fp32: what can be done without.

    Raises:
        GateError: one is worse than allowed.
    """
    while True:
        reports = write()
        failed = {report.variant: why for report in reports if (why := failures(report))}
        if not failed:
            return reports
        first = [report.variant for report in reports].index(next(iter(failed)))
        found = costs(first)
        worst = next(iter(found), "")
        if not auto or len(found) < 2 or found[worst] <= 0:  # what is left is not INT8's doing
            raise GateError(reports, failed, found, fp32)
        kept.append(worst)
        say(f"{worst} stays in higher precision: {failed[reports[first].variant][0]}")
