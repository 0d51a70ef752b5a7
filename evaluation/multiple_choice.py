"""The multiple-choice protocol: of several sentences, the one that describes the video scores best."""

import numpy as np

from jsf.data.questions import Question
from jsf.data.store import FeatureStore
from jsf.evaluation.inputs import check_inputs, distinct, read_videos
from jsf.evaluation.intervals import interval
from jsf.evaluation.metrics import Accuracy, credit
from jsf.evaluation.protocols import PairScorer


def evaluate_multiple_choice(scorer: PairScorer, questions: list[Question], store: FeatureStore) -> Accuracy:
    """Scores every question's video with its options; questions may differ in how many they have.

    Raises:
        JsfError: there are no questions, a video has no features, or they are not of the kind that the model takes.
    """
    ids, video = distinct(question.video_id for question in questions)
    check_inputs(scorer, store, ids)
    sentences, columns = distinct(option for question in questions for option in question.options)
    sizes = np.array([len(question.options) for question in questions])
    scores = scorer.match_pairs(read_videos(store, ids), sentences, np.repeat(video, sizes), columns)
    by_question = np.split(scores, np.cumsum(sizes)[:-1])
    correct = np.array(
        [credit(options, question.answer) for options, question in zip(by_question, questions, strict=True)]
    )
    return Accuracy(
        questions=len(questions),
        accuracy=float(100 * correct.mean()),
        interval=interval(100 * correct, groups=video),
        chance=float(100 * (1 / sizes).mean()),
        correct=tuple(correct.tolist()),
    )
