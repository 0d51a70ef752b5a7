"""Bootstrap intervals of what is measured on a sample of queries, and of the difference of two systems on the same.

Only the queries are resampled: the gallery, the model and the split stay. A measure that is the same for all queries,
such as a recall of 100, has an interval of no width.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError

RESAMPLES = 2000
SEED = 0
BOUNDS = (2.5, 97.5)
"""The percentiles that hold 95% of the resamples between them."""

WEIGHTS_AT_ONCE = 1 << 18
"""Query weights held at a time: 2 MB, which a cache holds."""

Values: TypeAlias = npt.NDArray[Any]
Weights: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """How far system a is above system b, on the same queries.

    Attributes:
        difference: mean of a less mean of b.
        interval: its 95% interval.
        not_above: share of the resamples in which a is not above b, from 0 to 1: one-sided evidence against a > b.
    """

    difference: float
    interval: tuple[float, float]
    not_above: float


def mean(values: Values, weights: Weights) -> npt.NDArray[np.float64]:
    """Weighted means of values [Q], one for each row of weights [R, Q]: [R]."""
    return np.asarray(weights @ values / weights.sum(1), np.float64)


def median(values: Values, weights: Weights) -> npt.NDArray[np.float64]:
    """Medians of values [Q], each repeated as often as its whole weight in a row of weights [R, Q] says: [R]."""
    order = np.argsort(values)
    places = np.cumsum(weights[:, order], axis=1)
    total = places[:, -1:]
    lower, upper = ((places > place).argmax(1) for place in ((total - 1) // 2, total // 2))
    return np.asarray((values[order][lower] + values[order][upper]) / 2, np.float64)


def interval(
    values: Values,
    groups: npt.ArrayLike | None = None,
    statistic: Callable[[Values, Weights], npt.NDArray[np.float64]] = mean,
) -> tuple[float, float]:
    """The 95% percentile interval of a statistic over 2,000 bootstrap resamples of the queries.

    Args:
        values: [Q], one per query.
        groups: [Q], labels of queries that are drawn together because they are not independent, such as the captions of
            one video; without, each query is drawn alone.
        statistic: values [Q] and how often each query occurs in each resample [R, Q] -> [R].

    Source: Efron 1979; by whole groups, Davison and Hinkley 1997, section 3.8.
    """
    return _bounds(_resampled(values, groups, statistic))


def paired_bootstrap(a: Values, b: Values, groups: npt.ArrayLike | None = None) -> Difference:
    """Compares two systems by the mean of what each reaches on the same queries; bigger is better.

    Args:
        a: [Q], for instance 1 where the true item is among the first ten and 0 elsewhere, or its mean over seeds.
        b: [Q], of the other system, in the same order.
        groups: as `interval`.

    Raises:
        JsfError: the systems were measured on different numbers of queries.

    Source: Efron and Tibshirani 1993; in evaluation, Koehn 2004.
    """
    if a.shape != b.shape:
        raise JsfError(
            f"the systems were measured on {len(a):,} and {len(b):,} queries.", "Evaluate both on the same table."
        )
    gain = a.astype(np.float64) - b
    resampled = _resampled(gain, groups, mean)
    return Difference(float(gain.mean()), _bounds(resampled), float((resampled <= 0).mean()))


def _resampled(
    values: Values, groups: npt.ArrayLike | None, statistic: Callable[[Values, Weights], npt.NDArray[np.float64]]
) -> npt.NDArray[np.float64]:
    return np.concatenate([statistic(values, weights) for weights in _weights(len(values), groups)])


def _weights(queries: int, groups: npt.ArrayLike | None) -> Iterator[Weights]:
    """How often each query occurs in each resample, [R, Q], as many resamples at a time as fit."""
    group = np.arange(queries) if groups is None else np.unique(groups, return_inverse=True)[1]
    count = int(group.max()) + 1
    generator = np.random.default_rng(SEED)
    at_once = max(1, WEIGHTS_AT_ONCE // queries)
    for start in range(0, RESAMPLES, at_once):
        rows = min(at_once, RESAMPLES - start)
        cells = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
        times = np.bincount(cells.ravel(), minlength=rows * count).reshape(rows, count)
        yield times[:, group].astype(np.float64)


def _bounds(resampled: npt.NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(resampled, BOUNDS)
    return float(low), float(high)
