"""The pairs on which ranges are collected, drawn from a table, as the graphs take them."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jsf.data.blanks import Blank
from jsf.data.questions import Question
from jsf.data.sequence import pad
from jsf.data.split import Split
from jsf.data.tables import Row
from jsf.data.task_names import FILLS
from jsf.evaluation.inputs import check_inputs, distinct
from jsf.runtime.backends.base import Arrays
from jsf.runtime.scorer import Scorer

PAIRS = 256
"""Pairs to calibrate on, where the table has as many."""


@dataclass(frozen=True)
class Pairs:
    """Videos, sentences, and which are matched.

    Attributes:
        videos: `features` [V, 40, D] and `lengths` [V], as the frame encoder takes them.
        sentences: `words` [S, 40] and `lengths` [S], as the word encoder does.
        blanks: [S], the position of each sentence's blank, for fill-in-the-blank.
        video_index, sentence_index: [P].
        left_padded: whether videos are padded on the left.
    """

    videos: Arrays
    sentences: Arrays
    blanks: npt.NDArray[np.int32] | None
    video_index: npt.NDArray[np.int32]
    sentence_index: npt.NDArray[np.int32]
    left_padded: bool

    @property
    def digest(self) -> str:
        """SHA-256 of all of it: which data this is."""
        digest = hashlib.sha256()
        blanks = [] if self.blanks is None else [self.blanks]
        indices = (self.video_index, self.sentence_index)
        for array in (*self.videos.values(), *self.sentences.values(), *indices, *blanks):
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def draw_pairs(scorer: Scorer, split: Split) -> Pairs:
    """Encodes what about `PAIRS` pairs are made of; half of the captions' pairs do not belong together.

    Raises:
        JsfError: a video has no features, or they are not of the kind that the model takes.
    """
    drawn = _each_video_first(split.rows)
    texts = _texts(drawn)
    texts = texts[: max(1, int(np.searchsorted(np.cumsum([len(several) for several in texts]), PAIRS, side="right")))]
    ids, rows = distinct(row.video_id for row in drawn[: len(texts)])
    check_inputs(scorer, split.store, ids)
    left = scorer.bundle.manifest.left_padded
    features, lengths = pad([scorer.features(split.store.read(name)) for name in ids], left=left)
    sentences, columns = distinct(text for several in texts for text in several)
    words, word_lengths, *blanks = (
        scorer.vocabulary.encode_blanks(sentences)
        if scorer.task == FILLS
        else scorer.vocabulary.encode_batch(sentences)
    )
    return Pairs(
        {"features": features, "lengths": lengths},
        {"words": words, "lengths": word_lengths},
        blanks[0] if blanks else None,
        np.repeat(rows, [len(several) for several in texts]).astype(np.int32),
        columns.astype(np.int32),
        left,
    )


def _each_video_first(rows: Sequence[Row]) -> list[Row]:
    """A row of every video, then a second one of those that have it, and so on."""
    seen: Counter[str] = Counter()
    turns = []
    for row in rows:
        turns.append(seen[row.video_id])
        seen[row.video_id] += 1
    return [rows[i] for i in np.argsort(turns, kind="stable")]


def _texts(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """What each row's video is matched with: its options, its sentence with a blank, or its caption and another's."""
    own = [row.options if isinstance(row, Question) else (row.sentence,) for row in rows]
    if isinstance(rows[0], (Question, Blank)):
        return own
    half = len(rows) // 2
    return [texts + others for texts, others in zip(own, own[half:] + own[:half], strict=True)]
