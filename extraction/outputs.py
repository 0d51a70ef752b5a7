"""Where features are written: each video's as soon as it is made, so that a killed run loses none."""

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.sequence import MAX_STEPS, FeatureSequence, load_sequence
from jsf.data.store import HDF5_SUFFIXES

TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.npz")
"""The name of a file that a killed run did not finish."""

_OVERHEAD = 4096
"""Bytes that HDF5 needs for a video beside its features, and more."""

ABANDONED = 60.0
"""Seconds after which an unfinished file is nobody's."""


class FeatureFolder:
    """A folder of `<file stem>.npz`, or one .npz file.

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
        if out.is_dir():
            _remove_unfinished(out, {video.stem for video in videos})

    def missing(self) -> list[Path]:
        """The videos whose features are not there, are older than the video, or were made otherwise."""
        return [video for video, target in self._targets.items() if not self._is_made(video, target)]

    def save(self, video: Path, sequence: FeatureSequence) -> None:
        """Keeps the features of a video; raises JsfError where they cannot be written."""
        sequence.save(self._targets[video])

    def finish(self) -> None:
        """Nothing is left to do."""

    def _is_made(self, video: Path, target: Path) -> bool:
        try:
            if not target.is_file() or target.stat().st_mtime < video.stat().st_mtime:
                return False
            sequence = load_sequence(target)
        except JsfError:
            return False
        return bool(sequence.extractor == self._identity) and enough(len(sequence.features), self._limit)


class FeatureFile:
    """An HDF5 store `<file stem>` -> [T, D] with the root attribute `extractor`.

    HDF5 files do not survive a kill while they are written. So features wait in the folder `<store>.partial`, a file
    each, until `finish` puts them into a copy of the store that replaces it.
    Both take at most twice the features' space.

    Args:
        videos: the files whose features are to be there.
        out: the store.
        identity: of the extractor.
        limit: the most frames of a video.

    Raises:
        JsfError: what is there is no store, or by another extractor.
    """

    def __init__(self, videos: Sequence[Path], out: Path, identity: str, limit: int) -> None:
        self._out, self._identity = out, identity
        self._folder = out.with_name(f"{out.name}.partial")
        lengths = _lengths(out, identity)
        stored = {stem for stem, length in lengths.items() if enough(length, limit)}
        needed = [video for video in videos if video.stem not in stored]
        for file in self._partial():
            if (found := load_sequence(file).extractor) != identity:
                raise JsfError(
                    f"{self._folder} holds features of '{found}', this is '{identity}'.",
                    f"Remove {self._folder}, or name another output: -o OTHER.h5",
                )
        self._waiting = FeatureFolder(needed, self._folder, identity, limit)

    def missing(self) -> list[Path]:
        """The videos whose features are neither in the store nor wait for it."""
        return self._waiting.missing()

    def save(self, video: Path, sequence: FeatureSequence) -> None:
        """Keeps the features of a video; raises JsfError where they cannot be written."""
        self._waiting.save(video, sequence)

    def finish(self) -> None:
        """Puts what waits into the store; raises JsfError where it cannot be written, and all of it still waits."""
        if not (files := self._partial()):
            return
        h5py = require("h5py", "extract")
        with replacing(self._out) as temporary:
            try:
                _reserve(temporary, self._size() + sum(file.stat().st_size + _OVERHEAD for file in files))
                if self._out.exists():
                    shutil.copyfile(self._out, temporary)
                with h5py.File(temporary, "a") as store:
                    store.attrs["extractor"] = self._identity
                    for file in files:
                        if file.stem in store:
                            del store[file.stem]
                        store[file.stem] = load_sequence(file).features
            except RuntimeError as error:  # as h5py reports a full disk when it closes
                raise JsfError(f"cannot write {self._out}: {error}.", "Check the folder and the free space.") from error
        shutil.rmtree(self._folder)

    def _size(self) -> int:
        return self._out.stat().st_size if self._out.exists() else 0

    def _partial(self) -> list[Path]:
        return sorted(self._folder.glob("[!.]*.npz"))


def open_output(videos: Sequence[Path], out: Path, identity: str, limit: int) -> FeatureFolder | FeatureFile:
    """The output that `out` names: an HDF5 file, a folder, or one .npz; raises JsfError as they do."""
    kind = FeatureFile if out.suffix in HDF5_SUFFIXES else FeatureFolder
    return kind(videos, out, identity, limit)


def enough(length: int, limit: int) -> bool:
    """Whether a sequence of `length` holds all frames up to `limit`; one of 40 may have been cut to 40."""
    return limit <= MAX_STEPS or length != MAX_STEPS


def _lengths(out: Path, identity: str) -> dict[str, int]:
    """Video id -> T of an existing store; raises JsfError where it is none, or by another extractor."""
    if not out.exists():
        return {}
    h5py = require("h5py", "extract")
    try:
        with h5py.File(out, "r") as store:
            found: Any = store.attrs.get("extractor", "" if len(store) else identity)
            lengths = {name: len(features) for name, features in store.items()}
    except (OSError, TypeError) as error:
        raise JsfError(f"{out} is not a readable HDF5 store: {error}.", "Name another output: -o OTHER.h5") from error
    if found != identity:
        raise JsfError(f"{out} holds features of '{found}', this is '{identity}'.", "Name another output: -o OTHER.h5")
    return lengths


def _reserve(path: Path, size: int) -> None:
    """Raises OSError where the disk has no such space: HDF5 would end the process, or leave half a file."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()


def _targets(videos: Sequence[Path], out: Path) -> dict[Path, Path]:
    if out.suffix != ".npz":
        if out.exists() and not out.is_dir():
            raise JsfError(f"{out} is a file, expected a folder, or a name that ends in .npz, .h5 or .hdf5.")
        return {video: out / f"{video.stem}.npz" for video in videos}
    if len(videos) != 1:
        raise JsfError(f"{out} holds one video, got {len(videos)}.", "Name a folder or an .h5 file: -o features.h5")
    return {videos[0]: out}


def _remove_unfinished(folder: Path, stems: set[str]) -> None:
    """Removes what a killed run began to write; younger files may be another run's."""
    for file in folder.glob(".*.npz"):
        name = TEMPORARY.fullmatch(file.name)
        if name and name[1] in stems and time.time() - file.stat().st_mtime > ABANDONED:
            file.unlink(missing_ok=True)
