"""The features of whatever a caller names as a video, checked to be what a model takes."""

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.identity import same_extractor
from jsf.data.sequence import FeatureSequence, check_features
from jsf.data.store import HDF5_SUFFIXES, FeatureStore, read_features


@dataclass(frozen=True)
class Stored:
    """A video of an open store, which is read when it is encoded."""

    store: FeatureStore
    id: str

    @property
    def name(self) -> str:
        """Where it lies, as a user would name it."""
        path = self.store.path
        return str(path / f"{self.id}.npz") if path.is_dir() else f"{path}#{self.id}"

    def read(self) -> FeatureSequence:
        """Its features; raises JsfError where they are absent or invalid."""
        return FeatureSequence(self.store.read(self.id), extractor=self.store.extractor, source=self.name)


Video: TypeAlias = FeatureSequence | npt.NDArray[Any] | Stored | Path | str
"""A video's features: in memory, [T, D] or a `FeatureSequence`, stored, or as `video.npz` or `store.h5#video_id`."""

EXTRACT_AGAIN = "Extract it with the model's own extractor: jsf extract VIDEO --bundle BUNDLE -o OUT.npz"


def model_features(video: Video, extractor: str, width: int) -> npt.NDArray[Any]:
    """A video's features [T, D], read where a file is named, and checked to be what a model takes.

    Args:
        video: or where it lies.
        extractor: what made the features that the model was trained on; "" where unknown.
        width: D of those.

    Raises:
        JsfError: the features are invalid, of another width, or of another extractor in whatever precision.
    """
    if isinstance(video, (str, Path)):
        video = read_features(str(video))
    elif isinstance(video, Stored):
        video = video.read()
    if isinstance(video, FeatureSequence):
        name, features = video.source or "the video", video.features
        if not same_extractor(video.extractor, extractor):
            raise JsfError(
                f"{name} was extracted by '{video.extractor}'; the model was trained on features of '{extractor}'.",
                EXTRACT_AGAIN,
            )
    else:
        name, features = "the video", video
        check_features(features, name)
    if features.shape[1] != width:
        raise JsfError(f"{name} has features {features.shape[1]} wide; the model takes {width}.", EXTRACT_AGAIN)
    return features


def key(item: object) -> object:
    """What tells videos, or texts, from one another within a call: a name, or the object itself."""
    return str(item) if isinstance(item, (str, Path)) else id(item)


def content(video: Video | Clips) -> Hashable:
    """What tells videos from one another as long as the process lives, without reading any.

    Of a file its name and when it was written, of a video in an open HDF5 file the file and the id, of features in
    memory, which can be changed, their SHA-256.
    """
    if isinstance(video, Stored):  # a folder's files can be written anew, an open HDF5 file cannot
        return _written(video.name) if video.store.path.is_dir() else video
    if isinstance(video, (str, Path)):
        return _written(str(video))
    if isinstance(video, Clips):
        return tuple(content(features) for features in (video.whole, *video.clips))
    if isinstance(video, FeatureSequence):
        return video.extractor, content(video.features)
    return video.dtype.str, video.shape, hashlib.sha256(np.ascontiguousarray(video).data).digest()


def _written(name: str) -> Hashable:
    """A file's absolute name, its number, its size and its time; another thing each time where there is no file."""
    file, _, _ = name.partition("#")
    path = Path(file if Path(file).suffix in HDF5_SUFFIXES else name).absolute()
    try:
        found = path.stat()
    except OSError:
        return object()
    return str(path), name, found.st_ino, found.st_size, found.st_mtime_ns
