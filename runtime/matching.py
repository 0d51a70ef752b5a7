"""The matcher over any number of pairs: those that fit one static size run together, at that size."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.lengths import needed_steps
from jsf.data.progress import track
from jsf.runtime.backends.base import Arrays, Graph
from jsf.runtime.buckets import lattice, pairs_at_once, smallest_buckets

Index = npt.NDArray[np.integer[Any]]


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
    _kept: dict[int, npt.NDArray[Any]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __len__(self) -> int:
        """How many there are."""
        return len(self.lengths)

    @property
    def needed(self) -> Index:
        """[B], the steps of each that its exact score needs; a blank is read itself, be it the last word."""
        needed = needed_steps(self.lengths, self.left_padded)
        return needed if self.blanks is None else np.maximum(needed, self.blanks + 1)

    def cropped(self, steps: int) -> "Encoded":
        """All of them at [B, steps, J]: the same array every time, so that a backend can keep it on its device."""
        if steps == self.values.shape[1]:
            return self
        if steps not in self._kept:
            self._kept[steps] = np.ascontiguousarray(self.values[:, self._at(steps)])
            self._kept[steps].flags.writeable = False
        return replace(self, values=self._kept[steps])

    def members(self, index: Index, steps: int) -> tuple["Encoded", Index]:
        """Those that `index` names, each once, at [U, steps, J], and the index into them."""
        rows, index = np.unique(index, return_inverse=True)
        blanks = None if self.blanks is None else self.blanks[rows]
        return replace(
            self, values=self.values[rows, self._at(steps)], lengths=self.lengths[rows], blanks=blanks
        ), index

    def _at(self, steps: int) -> slice:
        return slice(-steps, None) if self.left_padded else slice(steps)


def match(
    matcher: Graph,
    videos: Encoded,
    sentences: Encoded,
    video_index: Index,
    sentence_index: Index,
) -> npt.NDArray[np.float32]:
    """Scores pair p = (video_index[p], sentence_index[p]), with a progress bar: [P] float32, or [P, |V|] of words.

    A symbolic matcher gets the pairs of a bucket together, at exactly the bucket's size. One whose `limits` allow gets
    the whole collection every time, so that a backend can keep it on its device.

    Raises:
        JsfError: there is no pair, or one is larger than the matcher's sizes.
    """
    if not len(video_index):
        raise JsfError("there is nothing to score: no pair was given.")
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
    video_index: Index,
    sentence_index: Index,
) -> Iterator[tuple[npt.NDArray[np.intp], Arrays]]:
    """What `match` runs: which pairs are in a batch, and the matcher's inputs, with a progress bar."""
    whole = len(videos) <= matcher.limits.get("V", 0) and len(sentences) <= matcher.limits.get("S", 0)
    planned = list(_plan(matcher, videos, sentences, video_index, sentence_index))
    for (frames, words), rows in track(planned, "matching", len(planned)):
        v, s = video_index[rows], sentence_index[rows]
        if whole:
            some_videos, some_sentences = videos.cropped(frames), sentences.cropped(words)
        else:
            (some_videos, v), (some_sentences, s) = videos.members(v, frames), sentences.members(s, words)
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


def _plan(
    matcher: Graph,
    videos: Encoded,
    sentences: Encoded,
    video_index: Index,
    sentence_index: Index,
) -> Iterator[tuple[tuple[int, int], npt.NDArray[np.intp]]]:
    """The (frames, words) of each batch and its pairs: bucket by bucket, the pairs of a video together."""
    (_, steps, width), (_, words, _) = videos.values.shape, sentences.values.shape
    sizes, chosen = [(steps, words)], np.zeros(len(video_index), np.intp)
    if matcher.symbolic:
        sizes = list(matcher.buckets) or lattice(videos.left_padded)
        chosen = smallest_buckets(videos.needed[video_index], sentences.needed[sentence_index], sizes)
    order = np.lexsort((sentence_index, video_index, chosen))
    for bucket, first, count in zip(*np.unique(chosen[order], return_index=True, return_counts=True), strict=True):
        (frames, words), rows = sizes[bucket], order[first : first + count]
        at_once = matcher.limits.get("P") or pairs_at_once(frames, words, width)
        for start in range(0, count, at_once):
            yield (frames, words), rows[start : start + at_once]
