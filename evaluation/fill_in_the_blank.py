"""The fill-in-the-blank protocol: of all words of the vocabulary, the one that was left out scores best."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jsf.data.blanks import Blank
from jsf.data.progress import track
from jsf.data.store import FeatureStore
from jsf.data.vocabulary import BLANK_ID
from jsf.evaluation.inputs import blocks, check_inputs, distinct, read_videos
from jsf.evaluation.intervals import interval
from jsf.evaluation.metrics import Accuracy, credit
from jsf.evaluation.protocols import WordScorer

FIRST_WORD = BLANK_ID + 1
"""Padding and the blank itself come before the words that can fill it."""

SCORES_AT_ONCE = 1 << 24
"""Word scores held at a time: 64 MB, or one video's where its blanks need more."""


@dataclass(frozen=True)
class FilledBlanks(Accuracy):
    """How often the word that was left out scores best.

    Attributes:
        top5: percentage of blanks whose answer is among the five best words.
        top5_interval: its 95% interval.
        unknown: number of blanks whose answer is not in the vocabulary; they count as wrong.
    """

    top5: float
    top5_interval: tuple[float, float]
    unknown: int


def evaluate_fill_in_the_blank(scorer: WordScorer, blanks: list[Blank], store: FeatureStore) -> FilledBlanks:
    """Scores every word of the vocabulary for every blank whose answer is in it.

    Raises:
        JsfError: there are no blanks, a video has no features, or they are not of the kind that the model takes.
    """
    ids, video = distinct(blank.video_id for blank in blanks)
    check_inputs(scorer, store, ids)
    answers = np.array([scorer.vocabulary.ids.get(blank.answer, 0) for blank in blanks])
    known = answers >= FIRST_WORD
    first, five = np.zeros(len(blanks)), np.zeros(len(blanks))
    parts = blocks(np.flatnonzero(known), video, max(1, SCORES_AT_ONCE // len(scorer.vocabulary)))
    for block in track(parts, "filling blanks", len(parts)):
        for i, scores in zip(block, score_words(scorer, [blanks[i] for i in block], store), strict=True):
            words, answer = scores[FIRST_WORD:], int(answers[i]) - FIRST_WORD
            first[i], five[i] = credit(words, answer), credit(words, answer, k=5)
    return FilledBlanks(
        questions=len(blanks),
        accuracy=float(100 * first.mean()),
        interval=interval(100 * first, groups=video),
        chance=float(100 * known.mean() / (len(scorer.vocabulary) - FIRST_WORD)),
        correct=tuple(first.tolist()),
        top5=float(100 * five.mean()),
        top5_interval=interval(100 * five, groups=video),
        unknown=int((~known).sum()),
    )


def score_words(scorer: WordScorer, blanks: list[Blank], store: FeatureStore) -> npt.NDArray[np.float32]:
    """The scores [Q, |V|] of every word of the vocabulary for each blank.

    Raises:
        JsfError: the features of a video are invalid, or the model does not fill blanks.
    """
    ids, rows = distinct(blank.video_id for blank in blanks)
    sentences, columns = distinct(blank.sentence for blank in blanks)
    return scorer.score_words(read_videos(store, ids, scorer), sentences, rows, columns)
