"""Many video files to feature files: restartable, and one bad file does not stop the rest."""

import glob
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS
from jsf.extraction.extractor import Extractor
from jsf.extraction.outputs import open_output
from jsf.extraction.pipeline import Outcome, extract_videos

VIDEO_SUFFIXES = (".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ts", ".webm", ".wmv")
"""What is taken from a folder; a file named directly may have any suffix."""


@dataclass
class Report:
    """What an extraction did.

    Attributes:
        videos: how many were named.
        there: how many of them had been extracted before.
        extracted: how many were extracted now.
        frames: how many went through the CNN.
        silent: files without sound: the sound's numbers are zeros.
        failures: files that could not be extracted, each with the reason.
        seconds: how long it took.
    """

    videos: int
    there: int
    extracted: int = 0
    frames: int = 0
    silent: list[Path] = field(default_factory=list)
    failures: dict[Path, str] = field(default_factory=dict)
    seconds: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts what became of a video."""
        if outcome.error:
            self.failures[outcome.video] = outcome.error.message
        elif outcome.sequence:
            self.extracted += 1
            self.frames += len(outcome.sequence.features)
            if outcome.silent:
                self.silent.append(outcome.video)


def extract_files(paths: Sequence[Path], out: Path, extractor: Extractor, limit: int = MAX_STEPS) -> Report:
    """Extracts videos that were not extracted before, with a progress bar on stderr.

    Each video's features are kept as soon as they are made: a run that was killed goes on where it was.

    Args:
        paths: video files, folders that are searched for them, and patterns such as `clips/*.mp4`.
        out: `.npz` for a single video; `.h5` or `.hdf5` for a store `<file stem>` -> [T, D] with the root attribute
            `extractor`; else a folder of `<file stem>.npz`.
        extractor: outputs that it made before are left as they are.
        limit: at most so many frames of a video; what has 40 is made again for more.

    Raises:
        JsfError: a path does not exist, a folder has no videos, two files have the same stem, `out` does not fit,
            or it cannot be written: what was done is kept.
    """
    start = time.perf_counter()
    videos = find_videos(paths)
    output = open_output(videos, out, extractor.identity, limit)
    missing = output.missing()
    report = Report(len(videos), len(videos) - len(missing))
    outcomes = extract_videos(missing, extractor, limit)
    with closing(outcomes), ThreadPoolExecutor(1, "write") as writer:
        written: Future[None] | None = None
        for outcome in _shown(outcomes, len(missing)):
            if written:
                written.result()
            if outcome.sequence:
                written = writer.submit(output.save, outcome.video, outcome.sequence)
            report.add(outcome)
        if written:
            written.result()
    output.finish()
    report.seconds = time.perf_counter() - start
    return report


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, the videos in their folders and what their patterns match, each once.

    Raises:
        JsfError: a path does not exist, a folder has no videos, or two files have the same stem.
    """
    by_stem: dict[str, Path] = {}
    for video in (video for path in paths for video in _videos_at(path)):
        if (other := by_stem.setdefault(video.stem, video)).resolve() != video.resolve():
            raise JsfError(
                f"{other} and {video} would have the same id '{video.stem}'.", "Rename one, or extract them separately."
            )
    return list(by_stem.values())


def _videos_at(path: Path) -> list[Path]:
    if not path.exists():
        if found := [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]:  # noqa: PTH207  # Path.glob takes no absolute pattern
            return [video for file in found for video in _videos_at(file)]
        if glob.has_magic(str(path)):
            raise JsfError(f"no file matches {path}.")
        raise JsfError(f"{path} does not exist.")
    if not path.is_dir():
        return [path]
    files = (file for file in path.rglob("*") if file.suffix.lower() in VIDEO_SUFFIXES)
    videos = sorted(file for file in files if file.is_file() and not file.name.startswith("."))
    if not videos:
        raise JsfError(f"{path} has no video files ({' '.join(VIDEO_SUFFIXES)}).")
    return videos


def _shown(outcomes: Iterator[Outcome], total: int) -> Iterator[Outcome]:
    """The outcomes, with a progress bar where there is a terminal."""
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
