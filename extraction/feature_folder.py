"""Features as a folder of .npz files, or as one: each video's is written as soon as it is made."""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS, FeatureSequence, load_sequence, made_from
from jsf.extraction.decode import Video

ABANDONED = 60.0
"""Seconds after which an unfinished file is nobody's."""


class FeatureFolder:
    """A folder of `<file stem>.npz`, or one .npz file.

    Several runs may write into the same folder: every file is whole or absent.

    Args:
        videos: the files whose features are to be there.
        out: the folder, or `.npz` for a single video.
        identity: of the extractor.
        limit: the most frames of a video.

    Raises:
        JsfError: `out` does not fit.
    """

    def __init__(self, videos: Sequence[Path], out: Path, identity: str, limit: int) -> None:
        self._targets, self._identity, self._limit = _targets(videos, out), identity, limit
        folder = out.parent if out.suffix == ".npz" else out
        remove_unfinished(folder, {target.stem for target in self._targets.values()}, ".npz")

    def missing(self) -> list[Path]:
        """The videos whose features are not there, are older than the video, or were made otherwise.

        Raises:
            JsfError: features that are there are of another video of the same name.
        """
        return [video for video, target in self._targets.items() if not self._is_made(video, target)]

    def save(self, video: Path, sequence: FeatureSequence) -> None:
        """Keeps the features of a video; raises JsfError where they cannot be written."""
        sequence.save(self._targets[video])

    def finish(self) -> None:
        """Nothing is left to do."""

    def _is_made(self, video: Path, target: Path) -> bool:
        if not target.is_file():
            return False
        try:
            sequence = load_sequence(target)
        except JsfError:
            return False
        check_source(video, made_from(target), target)
        if is_newer(video, target):
            return False
        return bool(sequence.extractor == self._identity) and is_enough(video, len(sequence.features), self._limit)


def check_source(video: Path, source: str, made: Path) -> None:
    """Raises JsfError where the features that are there were made from another video, which is there too."""
    other = Path(source)
    if other.is_file() and video.is_file() and not other.samefile(video):
        raise JsfError(
            f"{made} has the features of {other} under the id '{video.stem}', which {video} has too.",
            "Rename one of them, or name another output: -o OTHER",
        )


def is_newer(video: Path, made: Path) -> bool:
    """Whether a video changed after its features were made, or cannot be asked, which its extraction will tell."""
    try:
        return video.stat().st_mtime > made.stat().st_mtime
    except OSError:
        return True


def is_enough(video: Path, length: int, limit: int) -> bool:
    """Whether features of `length` frames are all that there are up to `limit`; 40 may be some of more."""
    if limit <= MAX_STEPS or length != MAX_STEPS:
        return True
    try:
        return len(Video.scan(video, limit).grid.slots) == length
    except JsfError:
        return False


def remove_unfinished(folder: Path, stems: set[str], suffix: str) -> None:
    """Removes what a killed run began to write for these stems; younger files may be another run's."""
    for file in folder.glob(f".*{suffix}"):
        if written_for(file) in stems:
            with suppress(FileNotFoundError):  # another run has finished it, or removed it, meanwhile
                if time.time() - file.stat().st_mtime > ABANDONED:
                    file.unlink()


def written_for(file: Path) -> str:
    """The stem of the file that `replacing` writes under such a name; "" where it is no temporary one."""
    name = re.fullmatch(r"\.(.+)\.[0-9a-f]{8}", file.stem, re.DOTALL)
    return name[1] if name else ""


def _targets(videos: Sequence[Path], out: Path) -> dict[Path, Path]:
    if out.suffix != ".npz":
        if out.exists() and not out.is_dir():
            raise JsfError(f"{out} is a file, expected a folder, or a name that ends in .npz, .h5 or .hdf5.")
        return {video: out / f"{video.stem}.npz" for video in videos}
    if len(videos) != 1:
        raise JsfError(f"{out} holds one video, got {len(videos)}.", "Name a folder or an .h5 file: -o features.h5")
    if out.is_dir():
        raise JsfError(f"{out} is a folder, expected a file, or another name for the folder.")
    if out.exists() and videos[0].exists() and out.samefile(videos[0]):
        raise JsfError(f"{out} would be replaced by its own features.", "Name another output: -o OTHER.npz")
    return {videos[0]: out}
