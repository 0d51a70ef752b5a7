"""The measures of the three tasks, from scores alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.evaluation.intervals import interval, median

RECALLS = (1, 5, 10, 50)


@dataclass(frozen=True)
class Ranking:
    """How well queries find their items.

    Attributes:
        queries: number of queries; gallery: number of items ranked for each.
        recall: k -> percentage of queries with a true item among the first k.
        median_rank, mean_rank: of the best true item, from 1.
        interval: "R@1", ..., "MedR", "MeanR" -> 95% interval; empty where nothing was measured.
    """

    queries: int
    gallery: int
    recall: dict[int, float]
    median_rank: float
    mean_rank: float
    interval: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Accuracy:
    """How often the right answer scores best.

    Attributes:
        questions: number of questions.
        accuracy: percentage answered right; a tie of k best answers counts 1/k.
        interval: its 95% interval; questions about one video are resampled together.
        chance: percentage that equal scores for all answers reach.
        correct: what each question counts, from 0 to 1, in order: for `paired_bootstrap`.
    """

    questions: int
    accuracy: float
    interval: tuple[float, float]
    chance: float
    correct: tuple[float, ...]


def ranks(scores: npt.NDArray[np.floating], relevant: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """The rank of each query's best true item, from 1; items that score the same share their average rank.

    Args:
        scores: [queries, gallery]; bigger is better.
        relevant: [queries, gallery] bool, at least one true item a query. Further true items are not counted as
            competitors of the best one. NaN never helps: a true item's ranks last, a wrong item's above.

    Returns:
        [queries] float64.
    """
    best = np.where(relevant, scores, -np.inf).max(1, keepdims=True)
    above, ties = (~relevant & ~(scores <= best)).sum(1), (~relevant & (scores == best)).sum(1)
    return np.asarray(1.0 + above + ties / 2.0, np.float64)


def ranking(
    scores: npt.NDArray[np.floating], relevant: npt.NDArray[np.bool_], groups: npt.ArrayLike | None = None
) -> Ranking:
    """Recall@k, median and mean rank of `scores` [queries, gallery], with intervals.

    Args:
        scores: as `ranks`.
        relevant: as `ranks`.
        groups: [queries], labels of queries that are resampled together, such as the captions of one video.
    """
    rank = ranks(scores, relevant)
    hits = {k: 100.0 * (rank <= k) for k in RECALLS if k <= scores.shape[1]}
    return Ranking(
        queries=scores.shape[0],
        gallery=scores.shape[1],
        recall={k: float(hit.mean()) for k, hit in hits.items()},
        median_rank=float(np.median(rank)),
        mean_rank=float(rank.mean()),
        interval={
            **{f"R@{k}": interval(hit, groups) for k, hit in hits.items()},
            "MedR": interval(rank, groups, median),
            "MeanR": interval(rank, groups),
        },
    )


def chance(queries: int, gallery: int) -> Ranking:
    """What random scores reach on average, for one true item a query."""
    recall = {k: 100.0 * k / gallery for k in RECALLS if k <= gallery}
    return Ranking(queries, gallery, recall, (gallery + 1) / 2, (gallery + 1) / 2, {})


def credit(scores: npt.NDArray[Any], answer: int, k: int = 1) -> float:
    """The probability that `answer` is among the k best of scores [options], equal ones being put in random order.

    NaN never helps: a right answer's is below all others, a wrong answer's above.
    """
    right, wrong = scores[answer], np.delete(scores, answer)
    above, ties = np.count_nonzero(~(wrong <= right)), np.count_nonzero(wrong == right)
    return float(np.clip((k - above) / (1 + ties), 0, 1))
