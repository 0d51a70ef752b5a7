"""Retrieval metrics from a matrix of scores."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RECALLS = (1, 5, 10, 50)


@dataclass(frozen=True)
class Ranking:
    """How well queries find their items.

    Attributes:
        queries: number of queries; gallery: number of items ranked for each.
        recall: k -> percentage of queries with a true item among the first k.
        median_rank, mean_rank: of the best true item, from 1.
    """

    queries: int
    gallery: int
    recall: dict[int, float]
    median_rank: float
    mean_rank: float


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


def ranking(scores: npt.NDArray[np.floating], relevant: npt.NDArray[np.bool_]) -> Ranking:
    """Recall@k, median and mean rank of `scores` [queries, gallery]."""
    rank = ranks(scores, relevant)
    recall = {k: float(100.0 * (rank <= k).mean()) for k in RECALLS if k <= scores.shape[1]}
    return Ranking(len(rank), scores.shape[1], recall, float(np.median(rank)), float(rank.mean()))


def chance(queries: int, gallery: int) -> Ranking:
    """What random scores reach on average, for one true item a query."""
    recall = {k: 100.0 * k / gallery for k in RECALLS if k <= gallery}
    return Ranking(queries, gallery, recall, (gallery + 1) / 2, (gallery + 1) / 2)
