"""Whatever a user names as a video or a sentence: features in a file, a video file, words."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import HDF5_SUFFIXES, read_features
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.bundle import Bundle
from jsf.verbs.output import note

if TYPE_CHECKING:
    from jsf.extraction import Extractor
    from jsf.extraction.spec import ExtractorSpec


class VideoReader:
    """Reads videos for a bundle.

    The features of video files are kept in the user's cache; the bundle's extractor is opened at the first file that
    is not there.

    Args:
        bundle: its model takes the videos.
        device: where its extractor runs, as of `Extractor.open`.
        precision: of the extractor's CNN, where it has that; "auto" is fp32, in which the model's features were made.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto") -> None:
        self._bundle, self._device, self._asked = bundle, device, "fp32" if precision == "auto" else precision

    def read(self, name: str) -> FeatureSequence:
        """Reads `video.npz` or `store.h5#id`, or extracts a video file with the bundle's own extractor.

        Raises:
            JsfError: the file is absent or damaged, or the bundle has no extractor.
        """
        path = Path(name)
        if path.is_dir():
            raise JsfError(f"{name} is a folder.", f"Name its files: {path / '*'}")
        if holds_features(name):
            return read_features(name)
        from jsf.extraction.cache import read_through

        return read_through(path, self._spec.cache_key(self._precision), self._extract)

    @cached_property
    def _spec(self) -> "ExtractorSpec":
        from jsf.extraction.spec import ExtractorSpec

        return ExtractorSpec.load(bundle_extractor(self._bundle))

    @property
    def _precision(self) -> str:
        return self._asked if self._asked in self._spec.reduced else "fp32"

    @cached_property
    def _extractor(self) -> "Extractor":
        from jsf.extraction import Extractor

        extractor = Extractor.open(bundle_extractor(self._bundle), self._device, self._precision)
        why = f": the bundle's extractor has no {self._asked}" if self._precision != self._asked else ""
        note(f"extracting with {extractor.description}{why}")
        return extractor

    def _extract(self, path: Path) -> FeatureSequence:
        return self._extractor.extract(path)


def holds_features(name: str) -> bool:
    """Whether this is the name of features, `video.npz` or `store.h5#id`, and not of a video file."""
    return name.lower().endswith(".npz") or Path(name.partition("#")[0]).suffix in HDF5_SUFFIXES


def check_sentence(text: str) -> None:
    """Raises JsfError where what stands in a sentence's place is a file, as when a pattern names many videos."""
    if len(text) < 256 and Path(text).is_file():  # a longer name is an error of the system
        raise JsfError(
            f"a sentence is expected in this place, and {text} is a file.", 'Add one: "a car speeds toward a truck"'
        )


def note_unknown(vocabulary: Vocabulary, sentences: Sequence[str]) -> None:
    """Says which words of the sentences the model does not know."""
    if unknown := dict.fromkeys(word for sentence in sentences for word in vocabulary.unknown(sentence)):
        note(f"words that the model does not know are left out: {', '.join(unknown)}")


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
