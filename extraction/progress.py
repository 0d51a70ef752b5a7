"""The progress bar of an extraction."""

from collections.abc import Iterator

from jsf.extraction.pipeline import Outcome


def shown(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """The outcomes, with a progress bar on standard error where that is a terminal: videos/s and the time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(f"{task.finished_speed or task.speed or 0:.1f} videos/s")

    console = Console(stderr=True)
    columns = TextColumn("Extracting"), BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not total or not console.is_terminal) as progress:
        yield from progress.track(outcomes, total=total)
