"""Feature stores: video id -> [T, D], from an HDF5 file or a folder of .npz files."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.progress import track
from jsf.data.sequence import MAX_BYTES, FeatureSequence, check_features, load_sequence

HDF5_SUFFIXES = (".h5", ".hdf5")


class FeatureStore(ABC):
    """Features by video id.

    Attributes:
        path: the file or folder.
        extractor: what made the features; "" where that is not known.
    """

    path: Path
    extractor: str

    @abstractmethod
    def ids(self) -> list[str]:
        """All video ids."""

    @abstractmethod
    def read(self, video_id: str) -> npt.NDArray[Any]:
        """The features of one video, [T, D] float16 or float32; raises JsfError where absent or invalid."""

    def width(self, video_ids: Iterable[str]) -> int:
        """D, the same for every one of `video_ids`.

        Raises:
            JsfError: an id has no features, or widths differ.
        """
        widths: dict[int, str] = {}
        video_ids = list(video_ids)
        for video_id in track(video_ids, "reading features", len(video_ids)):
            widths.setdefault(self.width_of(video_id), video_id)
        if len(widths) != 1:
            found = ", ".join(f"{width} ({video_id})" for width, video_id in widths.items())
            raise JsfError(f"{self.path}: the features differ in width: {found}.", "Extract all with one extractor.")
        return next(iter(widths))

    def width_of(self, video_id: str) -> int:
        """D of one video.

        Raises:
            JsfError: the store does not hold it.
        """
        return int(self.read(video_id).shape[1])

    def _absent(self, video_id: str) -> JsfError:
        known = self.ids()
        return JsfError(f"{self.path} has no features of '{video_id}'; it holds {len(known):,} videos: {known[:3]}...")


class Hdf5Store(FeatureStore):
    """An HDF5 file with one dataset [T, D] per video id; the root attribute `extractor` says what made them."""

    def __init__(self, path: Path) -> None:
        h5py = require("h5py", "extract")
        if not path.is_file():
            raise JsfError(f"{path} does not exist.", f"Make it with: jsf extract VIDEOS -o {path}")
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise JsfError(f"{path} is not a readable HDF5 file: {error}.") from error
        self.path = path
        self.extractor = str(self._file.attrs.get("extractor", ""))
        if not len(self._file):
            raise JsfError(f"{path} holds no videos.", f"Make it with: jsf extract VIDEOS -o {path}")

    def ids(self) -> list[str]:
        """All video ids."""
        return list(self._file)

    def width_of(self, video_id: str) -> int:
        """D of one video, without reading its features."""
        shape = self._dataset(video_id).shape
        return int(shape[1]) if len(shape) == 2 else super().width_of(video_id)

    def read(self, video_id: str) -> npt.NDArray[Any]:
        """The features of one video, [T, D] float16 or float32."""
        dataset = self._dataset(video_id)
        try:
            features = np.asarray(dataset)
        except OSError as error:
            raise JsfError(f"{self.path}#{video_id} is damaged: {error}.") from error
        check_features(features, f"{self.path}#{video_id}")
        return features

    def _dataset(self, video_id: str) -> Any:
        dataset = self._file.get(video_id)
        if dataset is None:
            raise self._absent(video_id)
        if getattr(dataset, "shape", None) is None or dataset.size * dataset.dtype.itemsize > MAX_BYTES:
            raise JsfError(f"{self.path}#{video_id} is not a feature array of at most {MAX_BYTES:,} bytes.")
        return dataset


class FolderStore(FeatureStore):
    """A folder of `<video id>.npz` feature sequences."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = {file.stem: file for file in sorted(path.glob("[!.]*.npz"))}
        if not self._files:
            raise JsfError(f"{path} holds no .npz files.", f"Make them with: jsf extract VIDEOS -o {path}")
        self.extractor = load_sequence(next(iter(self._files.values()))).extractor

    def ids(self) -> list[str]:
        """All video ids."""
        return list(self._files)

    def read(self, video_id: str) -> npt.NDArray[Any]:
        """The features of one video, [T, D] float16 or float32."""
        if video_id not in self._files:
            raise self._absent(video_id)
        sequence = load_sequence(self._files[video_id])
        if sequence.extractor != self.extractor:
            raise JsfError(
                f"{self._files[video_id]} is by '{sequence.extractor}', others in its folder by '{self.extractor}'.",
                "Extract all with one extractor.",
            )
        return sequence.features


def open_features(path: Path) -> FeatureStore:
    """Opens `--features`: a folder of .npz, or an HDF5 file.

    Raises:
        JsfError: it is neither.
    """
    if path.is_dir():
        return FolderStore(path)
    if path.suffix in HDF5_SUFFIXES:
        return Hdf5Store(path)
    raise JsfError(f"{path} is not a feature store.", "Expected a folder of .npz files or an HDF5 file (.h5, .hdf5).")


def read_features(name: str) -> FeatureSequence:
    """Reads one video's features from `video.npz` or `store.h5#video_id`.

    Raises:
        JsfError: the file or the id is absent, or the features are invalid.
    """
    file, _, video_id = name.partition("#")
    if Path(file).suffix in HDF5_SUFFIXES:
        store = Hdf5Store(Path(file))
        if not video_id:
            example = next(iter(store.ids()), "VIDEO_ID")
            raise JsfError(f"{name} holds {len(store.ids()):,} videos.", f"Name one: {file}#{example}")
        return FeatureSequence(store.read(video_id), extractor=store.extractor, source=name)
    return load_sequence(Path(name))
