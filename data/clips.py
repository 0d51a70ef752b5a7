"""The clips of a video: the spans that its paragraph's sentences tell of, cut out of its features."""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.sequence import pad

Span: TypeAlias = tuple[float, float]
"""Start and end of a clip, as shares of its video's length, 0 <= start < end <= 1."""


WHOLE: Span = (0.0, 1.0)


class Clips(NamedTuple):
    """A video and the clips within.

    Attributes:
        whole: [T, D], all that is seen of the video.
        clips: [t_i, D] each, at least one step.
    """

    whole: npt.NDArray[Any]
    clips: list[npt.NDArray[Any]]

    @classmethod
    def of(cls, features: npt.NDArray[Any], spans: Sequence[Span], seen: Span = WHOLE) -> "Clips":
        """Cuts features [T, D] into clips, which may overlap, and the whole to what is `seen`."""
        return cls(cut(features, seen), [cut(features, span) for span in spans])


def cut(features: npt.NDArray[Any], span: Span) -> npt.NDArray[Any]:
    """The steps of features [T, D] in a span: floor(start * T) up to, not with, ceil(end * T); at least one.

    Source: the authors' code (HSE). Shares carry rounding errors, which must not add a step.
    """
    steps = len(features)
    start = min(int(np.floor(span[0] * steps + TINY)), steps - 1)
    return features[start : max(start + 1, int(np.ceil(span[1] * steps - TINY)))]


TINY = 1e-6
"""Of a step: what rounding may add to a share times a length."""


def equal_spans(count: int) -> tuple[Span, ...]:
    """Spans of `count` equal parts of a video."""
    return tuple((i / count, (i + 1) / count) for i in range(count))


def stack_clips(
    videos: Sequence[Sequence[npt.NDArray[Any]]], steps: int, places: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """The clips of each video as ([B, places, steps, D] float32; [B, places] lengths, 0 where there is no clip).

    Clips past the last place are left out; longer clips are sampled at equidistant steps.
    """
    clips = np.zeros((len(videos), places, steps, videos[0][0].shape[1]), np.float32)
    lengths = np.zeros((len(videos), places), np.int32)
    for row, video in enumerate(videos):
        kept = list(video[:places])
        clips[row, : len(kept)], lengths[row, : len(kept)] = pad(kept, steps)
    return clips, lengths
