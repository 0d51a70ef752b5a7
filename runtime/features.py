"""The features of whatever a caller names as a video, checked to be what a bundle's model takes."""

from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence, check_features, sample_steps
from jsf.data.store import read_features
from jsf.runtime.bundle import Manifest

Video: TypeAlias = FeatureSequence | npt.NDArray[Any] | Path | str
"""A video's features: in memory, [T, D] or a `FeatureSequence`, or as `video.npz` or `store.h5#video_id`."""

EXTRACT_AGAIN = "Extract it with the bundle's own: jsf extract VIDEO --bundle BUNDLE -o OUT.npz"


def model_features(video: Video, manifest: Manifest) -> npt.NDArray[Any]:
    """A video's features [T, D], T <= 40, read where a file is named, and checked to be what the model takes.

    Raises:
        JsfError: the features are invalid, of another width, or of another extractor than the model was trained on.
    """
    if isinstance(video, (str, Path)):
        video = read_features(str(video))
    if isinstance(video, FeatureSequence):
        if manifest.extractor and video.extractor and video.extractor != manifest.extractor:
            raise JsfError(
                f"{video.source or 'the video'} was extracted by '{video.extractor}'; "
                f"this bundle was trained on features of '{manifest.extractor}'.",
                EXTRACT_AGAIN,
            )
        source, features = video.source, video.features
    else:
        source, features = "the video", video
        check_features(features, source)
    if features.shape[1] != manifest.feature_width:
        raise JsfError(
            f"{source or 'the video'} has features {features.shape[1]} wide; this bundle takes "
            f"{manifest.feature_width}.",
            EXTRACT_AGAIN,
        )
    return features[sample_steps(len(features))]  # many long videos would fill the memory
