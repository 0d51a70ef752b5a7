"""Action recognition: a video's label among all, by the cosine to its words (zero-shot) or by a trained classifier."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption
from jsf.data.clips import WHOLE
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.store import FeatureStore
from jsf.evaluation.embeddings import cosines, embed_videos
from jsf.evaluation.inputs import distinct
from jsf.evaluation.intervals import interval
from jsf.evaluation.metrics import Accuracy, credit
from jsf.evaluation.protocols import Embedder

INVERSE_PENALTY = 10.0
"""C of the classifier; scikit-learn's default of 1 holds the weights too small for inputs of unit length."""

ITERATIONS = 1000


@dataclass(frozen=True)
class Recognition(Accuracy):
    """How often a video's label scores best; a question is a row of the table.

    Attributes:
        top5: percentage of rows whose label is among the five best.
        top5_interval: its 95% interval.
        top5_chance: percentage that equal scores for all labels reach.
        labels: number of labels to choose from.
        unknown: number of rows whose label is not one of them; they count as wrong.
    """

    top5: float
    top5_interval: tuple[float, float]
    top5_chance: float
    labels: int
    unknown: int


def evaluate_recognition(
    embedder: Embedder, captions: Sequence[Caption], store: FeatureStore, labels: Sequence[str] | None = None
) -> Recognition:
    """Zero-shot recognition: the label whose words are closest to the video.

    Labels with the same known words tie. Where a video has several labels, each is asked for, and the others do not
    compete with it.

    Args:
        embedder: of videos and texts.
        captions: a label of a video each, as its sentence.
        store: has the features of the videos.
        labels: to choose from; those of the `captions` where they are not named.

    Raises:
        JsfError: there are no captions, a video has no features, or they are not of the kind that the model takes.
    """
    names, _ = distinct(labels or (caption.sentence for caption in captions))
    videos, rows = embed_labelled(embedder, captions, store)
    known, columns = embedder.vocabulary.distinct(names)
    scores = cosines(videos, embedder.embed_texts(known))[:, columns]
    return _measure(scores, names, rows, [caption.sentence for caption in captions])


def train_classifier(embeddings: npt.NDArray[np.float32], labels: Sequence[str]) -> Any:
    """Multinomial logistic regression on frozen embeddings [N, E] of videos with a label each.

    Returns:
        scikit-learn's `LogisticRegression`.

    Raises:
        JsfError: scikit-learn is absent, or there are fewer than two labels.
    """
    regression = require("sklearn.linear_model", "analysis").LogisticRegression
    if len(names := set(labels)) < 2:
        raise JsfError(
            f"all videos to train the classifier on have the label {names}, expected two labels or more.",
            "Name a table of videos with different labels.",
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The number of unique classes")  # that labels are many is as it should be
        return regression(C=INVERSE_PENALTY, max_iter=ITERATIONS).fit(embeddings, list(labels))


def evaluate_classifier(
    classifier: Any, embedder: Embedder, captions: Sequence[Caption], store: FeatureStore
) -> Recognition:
    """What a classifier of `train_classifier` recognises; labels that it was not trained on count as wrong.

    Raises:
        JsfError: as `evaluate_recognition`.
    """
    videos, rows = embed_labelled(embedder, captions, store)
    scores = classifier.predict_log_proba(videos)
    return _measure(scores, [str(name) for name in classifier.classes_], rows, [each.sentence for each in captions])


def embed_labelled(
    embedder: Embedder, captions: Sequence[Caption], store: FeatureStore
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """The embeddings [V, E] of the distinct videos, and each row's place among them [N].

    Raises:
        JsfError: as `evaluate_recognition`.
    """
    ids, rows = distinct(caption.video_id for caption in captions)
    return embed_videos(embedder, [(video_id, (), WHOLE) for video_id in ids], store), rows


def _measure(
    scores: npt.NDArray[np.floating], names: Sequence[str], rows: npt.NDArray[np.intp], labels: Sequence[str]
) -> Recognition:
    """What the scores [V, L] of each video with each of the `names` reach, on rows that have one of its `labels` each.

    A name that is not among them is wrong for all.
    """
    place = {name: column for column, name in enumerate(names)}
    asked = [(i, row, place[label]) for i, (row, label) in enumerate(zip(rows, labels, strict=True)) if label in place]
    wrong = np.ones(scores.shape, bool)
    for _, row, answer in asked:
        wrong[row, answer] = False
    first, five, chances = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros((2, len(rows)))
    for i, row, answer in asked:
        options = np.append(scores[row, answer], scores[row, wrong[row]])
        first[i], five[i] = credit(options, 0), credit(options, 0, k=5)
        chances[:, i] = 1 / len(options), min(1, 5 / len(options))
    return Recognition(
        questions=len(rows),
        accuracy=float(100 * first.mean()),
        interval=interval(100 * first, groups=rows),
        chance=float(100 * chances[0].mean()),
        correct=tuple(first.tolist()),
        top5=float(100 * five.mean()),
        top5_interval=interval(100 * five, groups=rows),
        top5_chance=float(100 * chances[1].mean()),
        labels=len(names),
        unknown=len(rows) - len(asked),
    )
