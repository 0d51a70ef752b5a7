"""Many video files to feature files: restartable, and one bad file does not stop the rest."""

import glob
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS
from jsf.extraction.extractor import Extractor
from jsf.extraction.feature_file import FeatureFile
from jsf.extraction.feature_folder import FeatureFolder
from jsf.extraction.outputs import open_output
from jsf.extraction.pipeline import Outcome, extract_videos
from jsf.extraction.progress import shown

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
        damaged: files that were extracted with frames missing or broken, each with how many.
        failures: files that could not be extracted, each with the reason.
        seconds: how long it took.
    """

    videos: int
    there: int
    extracted: int = 0
    frames: int = 0
    silent: list[Path] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)
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
            if outcome.damage:
                self.damaged[outcome.video] = outcome.damage


def extract_files(paths: Sequence[Path], out: Path, extractor: Extractor, limit: int = MAX_STEPS) -> Report:
    """Extracts videos that were not extracted before, with a progress bar on stderr.

    Each video's features are kept as soon as they are made: a run that was killed goes on where it was.

    Args:
        paths: video files, folders that are searched for them, and patterns such as `clips/*.mp4`.
        out: `.npz` for a single video; `.h5` or `.hdf5` for a store `<file stem>` -> [T, D] with the root attribute
            `extractor`; else a folder of `<file stem>.npz`.
        extractor: outputs that it made before are left as they are.
        limit: at most so many frames of a video; features of 40 are made again where the video has more.

    Raises:
        JsfError: a path does not exist, a folder has no videos, two files have the same stem, `out` does not fit,
            another process writes it, or it cannot be written: what was done is kept.
    """
    start = time.perf_counter()
    videos = find_videos(paths)
    with open_output(videos, out, extractor.identity, limit) as output:
        missing = output.missing()
        report = Report(len(videos), len(videos) - len(missing))
        with closing(extract_videos(missing, extractor, limit)) as outcomes:
            _write(shown(outcomes, len(missing)), output, report)
        output.finish()
    report.seconds = time.perf_counter() - start
    return report


def _write(outcomes: Iterator[Outcome], output: FeatureFolder | FeatureFile, report: Report) -> None:
    """Counts the outcomes, and writes each while the next one is made; raises JsfError where one cannot be written."""
    with ThreadPoolExecutor(1, "write") as writer:
        written: Future[None] | None = None
        for outcome in outcomes:
            if written:
                written.result()
            if outcome.sequence:
                written = writer.submit(output.save, outcome.video, outcome.sequence)
            report.add(outcome)
        if written:
            written.result()


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, the videos in their folders and what their patterns match, each once.

    What is named like a video and is none, such as a pipe or a link to nothing, is among them: reading it tells why.

    Raises:
        JsfError: a path does not exist or cannot be read, a folder has no videos, or two files have the same stem.
    """
    by_stem: dict[str, Path] = {}
    try:
        for video in (video for path in paths for video in _videos_at(path)):
            other = by_stem.setdefault(video.stem, video)
            if other is not video and os.path.realpath(other) != os.path.realpath(video):
                raise JsfError(
                    f"{other} and {video} would have the same id '{video.stem}'.",
                    "Rename one, or extract them separately.",
                )
    except OSError as error:
        raise JsfError(f"{error.filename} cannot be read: {error.strerror}.", "Check its permissions.") from error
    return list(by_stem.values())


def _videos_at(path: Path) -> list[Path]:
    if path.is_dir():
        if not (videos := _videos_in(path)):
            raise JsfError(f"{path} has no video files ({' '.join(VIDEO_SUFFIXES)}).")
        return videos
    if os.path.lexists(path):
        return [path]
    if not glob.has_magic(str(path)):
        raise JsfError(f"{path} does not exist.")
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207  # Path.glob takes no absolute pattern
    if not (videos := [video for file in found for video in (_videos_in(file) if file.is_dir() else [file])]):
        raise JsfError(f"no file matches {path}.")
    return videos


def _videos_in(folder: Path) -> list[Path]:
    """The videos in a folder; an empty one that is named like a video stands for itself, and reading it tells why."""

    def refuse(error: OSError) -> None:
        raise error

    files = [Path(parent, name) for parent, _, names in os.walk(folder, onerror=refuse) for name in names]
    videos = sorted(file for file in files if _is_named_as_video(file))
    return videos or [folder] * _is_named_as_video(folder)


def _is_named_as_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")
