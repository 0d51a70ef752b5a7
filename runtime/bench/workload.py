"""The pairs that are timed: videos of one length, and sentences as long as a table's."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.datasets.tasks import as_blanks, as_captions
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.sequence import MAX_STEPS
from jsf.data.tables import read_rows
from jsf.data.task_names import FILLS
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.matching import Encoded

USUAL = {4: 7, 5: 10, 6: 12, 7: 11, 8: 11, 9: 10, 10: 8, 11: 7, 12: 5, 13: 5, 14: 3}
USUAL |= {15: 2, 16: 2, 17: 2, 18: 1, 19: 1, 20: 1, 21: 1, 22: 1}
"""Words -> how many captions of a hundred have so many: those of web videos (MSR-VTT), nine words in the mean."""


@dataclass(frozen=True)
class Workload:
    """Pairs to be matched: pair p is video p with sentence p.

    Attributes:
        source: where the sentences' lengths come from, in words.
        frames: of every video.
        words: [P] int32, known words of each sentence, ascending.
        left_padded: short videos are padded on the left.
        blanks: [P] int32, where each sentence's blank is; None where the model scores sentences.
    """

    source: str
    frames: int
    words: npt.NDArray[np.int32]
    left_padded: bool = False
    blanks: npt.NDArray[np.int32] | None = None

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.words)

    def evenly(self, count: int) -> "Workload":
        """`count` pairs whose lengths are distributed as these are: at evenly spaced places of the sorted ones."""
        return self.only((2 * np.arange(count) + 1) * len(self) // (2 * count))

    def only(self, rows: npt.NDArray[np.intp] | slice) -> "Workload":
        """The pairs of these rows."""
        return replace(self, words=self.words[rows], blanks=None if self.blanks is None else self.blanks[rows])

    def encoded(self, joint: int, dtype: np.dtype[Any]) -> tuple[Encoded, Encoded]:
        """Random encoded videos [P, 40, J] and sentences [P, 40, J], from -1 to 1 as the encoders' are."""
        random = np.random.default_rng(0)
        videos, sentences = (_uniform(random, len(self), joint, dtype) for _ in range(2))
        frames = np.full(len(self), self.frames, np.int32)
        return Encoded(videos, frames, self.left_padded), Encoded(sentences, self.words, blanks=self.blanks)


def table_workload(
    path: Path | None, vocabulary: Vocabulary, task: str, frames: int, left_padded: bool = False
) -> Workload:
    """The lengths of a table's sentences, words counted as a scorer does: those that the vocabulary has, at most 40.

    Args:
        path: captions, questions or blanks; None for `USUAL`.
        vocabulary: the words that count.
        task: of the model; for fill-in-the-blank captions are given blanks.
        frames: of every video.
        left_padded: short videos are padded on the left.

    Raises:
        JsfError: the table is not readable, or none of its words is in the vocabulary.
    """
    if path is None:
        words = np.repeat(list(USUAL), list(USUAL.values())).astype(np.int32)
        blanks = words // 2 if task == FILLS else None
        source = f"captions of web videos, {words.mean():.1f} words in the mean (no table was given)"
    else:
        words, blanks = _lengths(path, vocabulary, task)
        source = f"{len(words):,} sentences of {path.name}, {words.mean():.1f} known words in the mean"
    order = np.argsort(words, kind="stable")
    return Workload(source, frames, words[order], left_padded, None if blanks is None else blanks[order])


def _lengths(
    path: Path, vocabulary: Vocabulary, task: str
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32] | None]:
    rows = read_rows(path)
    if task == FILLS:
        sentences: Sequence[str] = [row.sentence for row in as_blanks(rows, set(vocabulary.words), str(path))]
        return vocabulary.encode_blanks(sentences)[1:]
    sentences = [option for row in rows if isinstance(row, Question) for option in row.options]
    sentences = sentences or [row.sentence for row in as_captions(rows, str(path))]
    words, lengths = vocabulary.encode_batch(sentences)
    if not words.any():
        raise JsfError(
            f"none of the words of {path} is in the bundle's vocabulary of {len(vocabulary.words):,} words.",
            "Name a table that the model can read, or none for the usual lengths of captions.",
        )
    return lengths, None


def _uniform(random: np.random.Generator, count: int, joint: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    values = random.random((count, MAX_STEPS, joint), np.float32)
    values *= 2
    values -= 1
    values = values.astype(dtype, copy=False)
    values.flags.writeable = False  # a backend may keep on its device what cannot change
    return values
