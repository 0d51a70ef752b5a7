"""The matcher over any number of pairs, in batches cropped to the lengths that they need."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.lengths import crop_length
from jsf.data.progress import track
from jsf.runtime.backends.base import Arrays, Graph

JOINT_BYTES = 64 << 20
"""Size of a batch's joint tensor [P, N, M, J] in float32; a handful of such tensors live at a time."""


@dataclass(frozen=True)
class Encoded:
    """Encoded videos or sentences.

    Attributes:
        values: [B, 40, J] float32 or float16.
        lengths: [B] int32.
        left_padded: the valid steps are the last ones.
        blanks: [B] int32, the position of each sentence's blank, for fill-in-the-blank.
    """

    values: npt.NDArray[Any]
    lengths: npt.NDArray[np.int32]
    left_padded: bool = False
    blanks: npt.NDArray[np.int32] | None = None

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
    """Scores pair p = (video_index[p], sentence_index[p]), with a progress bar: [P] float32, or [P, |V|] of words.

    A symbolic matcher gets pairs of similar lengths together, and of each only the steps that they need. A static one
    gets the whole collection every time where its `limits` allow, so that a backend can keep it on its device.
    """
    order, outputs = [], []
    for rows, inputs in batches(matcher, videos, sentences, video_index, sentence_index):
        order.append(rows)
        outputs.append(matcher.run(inputs)["scores"])
    found: npt.NDArray[np.float32] = np.concatenate(outputs)
    scores = np.empty_like(found)
    scores[np.concatenate(order)] = found
    return scores


def batches(
    matcher: Graph,
    videos: Encoded,
    sentences: Encoded,
    video_index: npt.NDArray[np.integer[Any]],
    sentence_index: npt.NDArray[np.integer[Any]],
) -> Iterator[tuple[npt.NDArray[np.intp], Arrays]]:
    """What `match` runs: which pairs are in a batch, and the matcher's inputs, with a progress bar."""
    symbolic = isinstance(matcher.inputs[0].shape[1], str)
    whole = not symbolic and len(videos) <= matcher.limits.get("V", 0) and len(sentences) <= matcher.limits.get("S", 0)
    order = np.lexsort((sentences.lengths[sentence_index], videos.lengths[video_index]))
    cells = (
        crop_length(videos.lengths, videos.left_padded) * crop_length(sentences.lengths)
        if symbolic
        else videos.values.shape[1] * sentences.values.shape[1]
    )
    fitting = JOINT_BYTES // (cells * videos.values.shape[2] * 4)
    batch = max(1, matcher.limits.get("P", fitting))
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
        if some_sentences.blanks is not None:
            inputs["blanks"] = some_sentences.blanks
        yield rows, inputs


def _members(
    encoded: Encoded, index: npt.NDArray[np.integer[Any]], cropped: bool
) -> tuple[Encoded, npt.NDArray[np.integer[Any]]]:
    """The members that `index` names, each once, and the index into those."""
    rows, index = np.unique(index, return_inverse=True)
    lengths = encoded.lengths[rows]
    steps = crop_length(lengths, encoded.left_padded) if cropped else encoded.values.shape[1]
    values = encoded.values[rows, -steps:] if encoded.left_padded else encoded.values[rows, :steps]
    return replace(encoded, values=values, lengths=lengths, blanks=_rows(encoded.blanks, rows)), index


def _rows(values: npt.NDArray[np.int32] | None, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int32] | None:
    return None if values is None else values[rows]
