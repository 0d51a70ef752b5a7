"""The features of whatever a caller names as a video, checked to be what a model takes."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence, check_features
from jsf.data.store import read_features

Video: TypeAlias = FeatureSequence | npt.NDArray[Any] | Path | str
"""A video's features: in memory, [T, D] or a `FeatureSequence`, or as `video.npz` or `store.h5#video_id`."""

EXTRACT_AGAIN = "Extract it with the model's own extractor: jsf extract VIDEO --bundle BUNDLE -o OUT.npz"


def model_features(video: Video, extractor: str, width: int) -> npt.NDArray[Any]:
    """A video's features [T, D], read where a file is named, and checked to be what a model takes.

    Args:
        video: or where it lies.
        extractor: what made the features that the model was trained on; "" where unknown.
        width: D of those.

    Raises:
        JsfError: the features are invalid, of another width, or of another extractor.
    """
    if isinstance(video, (str, Path)):
        video = read_features(str(video))
    if isinstance(video, FeatureSequence):
        name, features = video.source or "the video", video.features
        if extractor and video.extractor and video.extractor != extractor:
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
    """What tells videos, or texts, from one another: a name, or the object itself."""
    return str(item) if isinstance(item, (str, Path)) else id(item)
