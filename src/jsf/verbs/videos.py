"""Whatever a user names as a video: features in a file, or a video file."""

from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import HDF5_SUFFIXES, read_features
from jsf.runtime.bundle import Bundle
from jsf.verbs.output import note


class VideoReader:
    """Reads videos for a bundle; the bundle's extractor is opened at the first video file."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self._bundle, self._device = bundle, device

    def read(self, name: str) -> FeatureSequence:
        """Reads `video.npz` or `store.h5#id`, or extracts a video file with the bundle's own extractor.

        Raises:
            JsfError: the file is absent or damaged, or the bundle has no extractor.
        """
        path = Path(name)
        if path.is_dir():
            raise JsfError(f"{name} is a folder.", f"Name its files: {path / '*'}")
        if path.suffix.lower() == ".npz" or Path(name.partition("#")[0]).suffix in HDF5_SUFFIXES:
            return read_features(name)
        if not hasattr(self, "_extractor"):
            from jsf.extraction import Extractor

            self._extractor = Extractor.open(bundle_extractor(self._bundle), extraction_device(self._device))
            note(f"extracting with {self._extractor.graph.description}")
        return self._extractor.extract(path)


def extraction_device(device: str) -> str:
    """Where features are made: the CPU unless a device was asked for, because engines are built for scoring only."""
    return "cpu" if device == "auto" else device


def bundle_extractor(bundle: Bundle) -> Path:
    """The folder of the extractor that a bundle carries.

    Raises:
        JsfError: it carries none.
    """
    if not bundle.extractor.is_dir():
        raise JsfError(
            f"{bundle.root} has no extractor: its model was trained on features of "
            f"'{bundle.manifest.extractor or 'an unknown extractor'}'.",
            "Make features with that extractor, and score the feature files.",
        )
    return bundle.extractor
