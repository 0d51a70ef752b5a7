"""The one progress bar: on standard error, so that results on standard output stay clean."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_shown = False


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yields `items` with a progress bar over `total` of them; no bar for fewer than two, or within another's."""
    global _shown
    if total < 2 or _shown:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    console = Console(stderr=True)
    # A bar that goes leaves an empty line where there is no terminal to take it from.
    bar = rich_track(items, label, total=total, console=console, transient=True, disable=not console.is_terminal)
    _shown = True
    try:
        yield from bar
    finally:
        _shown = False
