"""The matcher over any number of pairs, in batches cropped to the lengths that they need."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.lengths import crop_length
from jsf.data.progress import track
from jsf.runtime.backends.base import Graph

JOINT_BYTES = 64 << 20
"""Size of a batch's joint tensor [P, N, M, J] in float32; a handful of such tensors live at a time."""


@dataclass(frozen=True)
class Encoded:
    """Encoded videos or sentences: values [B, 40, J] float32 or float16, lengths [B] int32."""

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """How many there are."""
        return len(self.lengths)


def match(
    matcher: Graph,
    videos: Encoded,
    sentences: Encoded,
    video_index: npt.NDArray[np.integer[Any]],
    sentence_index: npt.NDArray[np.integer[Any]],
) -> npt.NDArray[np.float32]:
    """Scores pair p = (video_index[p], sentence_index[p]): [P] float32, with a progress bar.

    A symbolic matcher gets pairs of similar lengths together, and of each only the steps that they need. A static one
    gets the whole collection every time where its `limits` allow, so that a backend can keep it on its device.
    """
    symbolic = isinstance(matcher.inputs[0].shape[1], str)
    whole = not symbolic and len(videos) <= matcher.limits.get("V", 0) and len(sentences) <= matcher.limits.get("S", 0)
    order = np.lexsort((sentences.lengths[sentence_index], videos.lengths[video_index]))
    cells = (
        crop_length(videos.lengths) * crop_length(sentences.lengths)
        if symbolic
        else videos.values.shape[1] * sentences.values.shape[1]
    )
    fitting = JOINT_BYTES // (cells * videos.values.shape[2] * 4)
    batch = max(1, matcher.limits.get("P", fitting))
    scores = np.empty(len(order), np.float32)
    starts = range(0, len(order), batch)
    for start in track(starts, "matching", len(starts)):
        rows = order[start : start + batch]
        v, s = video_index[rows], sentence_index[rows]
        some_videos, some_sentences = videos, sentences
        if not whole:
            some_videos, v = _members(videos, v, symbolic)
            some_sentences, s = _members(sentences, s, symbolic)
        inputs = {
            "videos": some_videos.values,
            "video_lengths": some_videos.lengths,
            "sentences": some_sentences.values,
            "sentence_lengths": some_sentences.lengths,
            "video_index": v.astype(np.int32),
            "sentence_index": s.astype(np.int32),
        }
        scores[rows] = matcher.run(inputs)["scores"]
    return scores


def _members(
    encoded: Encoded, index: npt.NDArray[np.integer[Any]], cropped: bool
) -> tuple[Encoded, npt.NDArray[np.integer[Any]]]:
    """The members that `index` names, each once, and the index into those."""
    rows, index = np.unique(index, return_inverse=True)
    lengths = encoded.lengths[rows]
    steps = crop_length(lengths) if cropped else encoded.values.shape[1]
    return Encoded(encoded.values[rows, :steps], lengths), index
