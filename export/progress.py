"""TensorRT's builder reports its phases; a bar on stderr shows them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from signal import SIGINT, signal
from threading import current_thread, main_thread
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar() -> Progress:
    """A progress display on stderr that leaves nothing behind."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def cancelling(watch: Any) -> Iterator[None]:
    """Within it Ctrl-C cancels the build that `watch` monitors, and is raised at the end.

    Raised where it comes, it would be swallowed by the bindings, in whose callbacks a build spends its time in Python.
    """

    def cancel(*_: Any) -> None:
        watch.interrupted = True

    if current_thread() is not main_thread():  # which alone gets it
        yield
        return
    before = signal(SIGINT, cancel)
    try:
        yield
    finally:
        signal(SIGINT, before)
    if watch.interrupted:
        raise KeyboardInterrupt


def monitor(progress: Progress) -> Callable[[Any], Any]:
    """Makes a builder's progress monitor, given the module tensorrt or tensorrt_rtx: a bar for each phase under way."""

    def make(trt: Any) -> Any:
        class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.IProgressMonitor.__init__(self)  # the bindings need the explicit call
                self.tasks: dict[str, Any] = {}
                self.interrupted = False

            def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
                self.tasks[phase] = progress.add_task(f"  {phase}", total=steps)

            def step_complete(self, phase: str, step: int) -> bool:
                progress.update(self.tasks[phase], completed=step + 1)
                return not self.interrupted  # False cancels the build

            def phase_finish(self, phase: str) -> None:
                progress.remove_task(self.tasks.pop(phase))

        return Monitor()

    return make
