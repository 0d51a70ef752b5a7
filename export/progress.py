"""TensorRT's builder reports its phases; a bar on stderr shows them."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


def progress_bar() -> Progress:
    """A progress display on stderr that leaves nothing behind."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)


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
                try:
                    progress.update(self.tasks[phase], completed=step + 1)
                except KeyboardInterrupt:  # the bindings would swallow it
                    self.interrupted = True
                return not self.interrupted  # False cancels the build

            def phase_finish(self, phase: str) -> None:
                progress.remove_task(self.tasks.pop(phase))

        return Monitor()

    return make
