"""Features as an HDF5 store, which is replaced as a whole: it is never half written."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.progress import track
from jsf.data.sequence import FeatureSequence, load_sequence, made_from
from jsf.extraction.feature_folder import (
    FeatureFolder,
    check_source,
    is_enough,
    is_newer,
    remove_unfinished,
    written_for,
)

_OVERHEAD = 4096
"""Bytes that HDF5 needs for a video beside its features, and more."""

OTHER = "Name another output: -o OTHER.h5"


class FeatureFile:
    """An HDF5 store `<file stem>` -> [T, D] with the root attribute `extractor`.

    HDF5 files do not survive a kill while they are written. So features wait in the folder `<store>.partial`, a file
    each, until `finish` puts them into a copy of the store that replaces it.
    Both take at most twice the features' space. One process at a time may have it: `open_output` sees to that.

    Args:
        videos: the files whose features are to be there.
        out: the store.
        identity: of the extractor.
        limit: the most frames of a video.

    Raises:
        JsfError: what is there is no store, by another extractor, or of another video of the same name, or a name
            cannot be in one.
    """

    def __init__(self, videos: Sequence[Path], out: Path, identity: str, limit: int) -> None:
        self._out, self._identity = out, identity
        self._folder = out.with_name(f"{out.name}.partial")
        remove_unfinished(out.parent, {out.stem}, out.suffix)
        _check_names(videos)
        stored = _stored(out, identity)
        for file in self._partial():
            try:
                found = load_sequence(file).extractor
            except JsfError:  # what a crash of the machine left
                file.unlink()
                continue
            if found != identity:
                raise JsfError(
                    f"{self._folder} holds features of '{found}', this is '{identity}'.",
                    f"Remove {self._folder}, or name another output: -o OTHER.h5",
                )

        def is_stored(video: Path) -> bool:
            if video.stem not in stored:
                return False
            length, source = stored[video.stem]
            check_source(video, source, out)
            return not is_newer(video, out) and is_enough(video, length, limit)

        needed = [video for video in videos if not is_stored(video)]
        self._waiting = FeatureFolder(needed, self._folder, identity, limit)

    def missing(self) -> list[Path]:
        """The videos whose features are neither in the store nor wait for it, or are older than the video."""
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
                    for file in track(files, "Storing", len(files)):
                        if file.stem in store:
                            del store[file.stem]
                        store[file.stem] = load_sequence(file).features
                        store[file.stem].attrs["source"] = made_from(file)
            except RuntimeError as error:  # as h5py reports a full disk when it closes
                raise JsfError(f"cannot write {self._out}: {error}.", "Check the folder and the free space.") from error
        for file in files:
            file.unlink()
        if not self._partial():
            shutil.rmtree(self._folder)

    def _size(self) -> int:
        return self._out.stat().st_size if self._out.exists() else 0

    def _partial(self) -> list[Path]:
        return sorted(file for file in self._folder.glob("*.npz") if not written_for(file))


def _check_names(videos: Sequence[Path]) -> None:
    """Raises JsfError where a file's stem cannot be a name in HDF5."""
    for video in videos:
        try:
            video.stem.encode()
        except UnicodeEncodeError as error:
            raise JsfError(
                f"the name of {str(video)!r} is not UTF-8, which an HDF5 store needs.",
                "Rename the file, or name a folder: -o features",
            ) from error


def _stored(out: Path, identity: str) -> dict[str, tuple[int, str]]:
    """Video id -> (T, the video file) of a store that is there; raises JsfError where it is none, or another's."""
    if not out.exists():
        return {}
    h5py = require("h5py", "extract")
    try:
        with h5py.File(out, "r") as store:
            found = str(store.attrs.get("extractor", "" if len(store) else identity))
            stored = {name: (len(found), str(found.attrs.get("source", ""))) for name, found in store.items()}
    except (OSError, TypeError) as error:
        raise JsfError(f"{out} is not a readable HDF5 store: {error}.", OTHER) from error
    if found != identity:
        raise JsfError(f"{out} holds features of '{found}', this is '{identity}'.", OTHER)
    return stored


def _reserve(path: Path, size: int) -> None:
    """Raises OSError where the disk has no such space: HDF5 would end the process, or leave half a file."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    path.unlink()
