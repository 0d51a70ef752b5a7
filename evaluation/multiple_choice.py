"""The multiple-choice protocol: of several sentences, the one that describes the video scores best."""

import numpy as np
import numpy.typing as npt

from jsf.data.progress import track
from jsf.data.questions import Question
from jsf.data.store import FeatureStore
from jsf.evaluation.inputs import blocks, check_inputs, distinct, read_videos
from jsf.evaluation.intervals import interval
from jsf.evaluation.metrics import Accuracy, credit
from jsf.evaluation.protocols import PairScorer

QUESTIONS_AT_ONCE = 1024
"""Questions held at a time: with five options, half a gigabyte of encoded sentences at the paper's size."""


def evaluate_multiple_choice(scorer: PairScorer, questions: list[Question], store: FeatureStore) -> Accuracy:
    """Scores every question's video with its options; questions may differ in how many they have.

    Raises:
        JsfError: there are no questions, a video has no features, or they are not of the kind that the model takes.
    """
    ids, video = distinct(question.video_id for question in questions)
    check_inputs(scorer, store, ids)
    sizes = np.array([len(question.options) for question in questions])
    correct = np.zeros(len(questions))
    parts = blocks(np.arange(len(questions)), video, QUESTIONS_AT_ONCE)
    for part in track(parts, "answering questions", len(parts)):
        asked = [questions[i] for i in part]
        for i, question, scores in zip(part, asked, score_options(scorer, asked, store), strict=True):
            correct[i] = credit(scores, question.answer)
    return Accuracy(
        questions=len(questions),
        accuracy=float(100 * correct.mean()),
        interval=interval(100 * correct, groups=video),
        chance=float(100 * (1 / sizes).mean()),
        correct=tuple(correct.tolist()),
    )


def score_options(scorer: PairScorer, questions: list[Question], store: FeatureStore) -> list[npt.NDArray[np.float32]]:
    """The scores [options] of each question.

    Raises:
        JsfError: the features of a video are invalid.
    """
    ids, video = distinct(question.video_id for question in questions)
    sentences, columns = distinct(option for question in questions for option in question.options)
    sizes = np.array([len(question.options) for question in questions])
    scores = scorer.match_pairs(read_videos(store, ids, scorer), sentences, np.repeat(video, sizes), columns)
    return np.split(scores, np.cumsum(sizes)[:-1])
