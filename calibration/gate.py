"""The accuracy gate: what a reduced precision costs on real data, and whether that is within the limits."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.calibration.accuracy import Scored
from jsf.calibration.error import differences
from jsf.data.errors import JsfError
from jsf.evaluation.intervals import paired_bootstrap

ENOUGH = 500
"""Queries below which half a point of recall cannot be told from chance."""

ROUNDING = 1e-9
"""Points of a mean that are none."""


@dataclass(frozen=True)
class Change:
    """A metric before and after.

    Attributes:
        fp32, reduced: the metric with the FP32 graphs and with the reduced ones.
        interval: the 95% interval of reduced - fp32, by paired bootstrap; None for a median.
    """

    fp32: float
    reduced: float
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Comparison:
    """Reduced scores beside those of FP32, on the same queries.

    Attributes:
        queries: how many; pairs: scores in all.
        score_error_max, score_error_mean, score_range: in units of the score; the range is that of FP32.
        rank_correlation: Spearman's, over all scores.
        metrics: "accuracy", or "R@1", "R@5", "R@10" and "MedR".
    """

    queries: int
    pairs: int
    score_error_max: float
    score_error_mean: float
    score_range: float
    rank_correlation: float
    metrics: dict[str, Change]

    def share(self, error: float) -> float:
        """An error in percent of the range of the FP32 scores; infinite where they are all the same."""
        return 100 * error / self.score_range if self.score_range else (np.inf if error else 0.0)

    @property
    def drop(self) -> float:
        """The points of R@1, or of accuracy, that were lost."""
        change = next(iter(self.metrics.values()))
        return change.fp32 - change.reduced


@dataclass(frozen=True)
class Limits:
    """What a reduced precision may cost.

    Attributes:
        max_drop: points of text-to-video R@1, or of accuracy, where there are `ENOUGH` queries.
        min_correlation: of the ranks of all scores.
        max_error: mean score error, in percent of the range of the FP32 scores.
    """

    max_drop: float = 0.5
    min_correlation: float = 0.99
    max_error: float = 1.0

    def __post_init__(self) -> None:
        """Raises JsfError where a limit is no number, with which everything would pass."""
        for name, limit in asdict(self).items():
            if not np.isfinite(limit):
                raise JsfError(f"--{name.replace('_', '-')} is {limit}, expected a number.")

    def failures(self, found: Comparison) -> list[str]:
        """What is worse than the limits, in words with both numbers."""
        error = found.share(found.score_error_mean)
        metric = next(iter(found.metrics))
        failures = []
        if found.queries >= ENOUGH and found.drop > self.max_drop + ROUNDING:
            failures.append(f"{metric} falls by {found.drop:.2f} points, allowed are {self.max_drop:g} (--max-drop)")
        if found.rank_correlation < self.min_correlation:
            failures.append(
                f"the rank correlation is {found.rank_correlation:.4f}, "
                f"wanted is {self.min_correlation:g} (--min-correlation)"
            )
        if error > self.max_error:
            failures.append(
                f"the mean score error is {error:.2f}% of the range, allowed are {self.max_error:g}% (--max-error)"
            )
        return failures


def compare(fp32: Scored, reduced: Scored) -> Comparison:
    """Measures reduced scores against those of FP32 on the same table.

    Raises:
        JsfError: a reduced score is NaN or infinity.
    """
    there = fp32.scores != -np.inf
    expected, found = fp32.scores[there], reduced.scores[there]
    errors = differences(expected, found)
    before, after = fp32.metrics(), reduced.metrics()
    return Comparison(
        queries=len(fp32.scores),
        pairs=int(errors.pop("pairs")),
        rank_correlation=spearman(expected, found),
        metrics={name: _change(name, before[name], after[name], fp32.groups) for name in before},
        **errors,
    )


def spearman(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """The correlation of ranks, equal values sharing their mean rank; of constant values 1 where both are, else 0."""
    first, second = _mean_ranks(a), _mean_ranks(b)
    spread = first.std() * second.std()
    if spread == 0:
        return float(first.std() == second.std())
    return float(((first - first.mean()) * (second - second.mean())).mean() / spread)


def _mean_ranks(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse], np.float64)


def _change(
    name: str, before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], groups: npt.NDArray[np.intp]
) -> Change:
    if name == "MedR":
        return Change(float(np.median(before)), float(np.median(after)), None)
    return Change(float(before.mean()), float(after.mean()), paired_bootstrap(after, before, groups).interval)
