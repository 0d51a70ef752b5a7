"""How an activation's values are distributed, and the range of them that eight bits should hold."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError

HALF = 1024
"""Bins on each side of zero."""

LEVELS = 128
"""Magnitudes that eight bits tell apart."""

LEAST = 1e-30
"""The least reach, which float32 can divide by."""

CUT = 1e-3
"""The share of values that `percentile` gives up, half of it at each end."""

Range = tuple[float, float]


class Histogram:
    """Counts of values in bins of equal width around zero.

    The reach doubles when a larger value comes, which merges bins in pairs: batches can be added in any number, and
    none of them is kept.

    Attributes:
        counts: [2 * HALF] of bins from -reach to reach.
        lowest, highest: of all values.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(2 * HALF, np.int64)
        self.reach = 0.0
        self.lowest, self.highest = np.inf, -np.inf

    def add(self, values: npt.NDArray[np.floating]) -> None:
        """Counts an array's values, of any shape.

        Raises:
            JsfError: one is NaN or infinity.
        """
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise JsfError("an activation is NaN or infinity in FP32.", "Check the features and the weights.")
        self.lowest, self.highest = min(low, self.lowest), max(high, self.highest)
        most = max(-low, high)
        self.reach = self.reach or max(most, LEAST)
        while self.reach < most:
            pairs = self.counts.reshape(HALF, 2).sum(1)
            self.counts = np.pad(pairs, HALF // 2)
            self.reach *= 2
        bins = (values.ravel() * np.float32(HALF / self.reach) + np.float32(HALF)).astype(np.int32)
        self.counts += np.bincount(np.clip(bins, 0, 2 * HALF - 1), minlength=2 * HALF)


def minmax(histogram: Histogram) -> Range:
    """All values."""
    return histogram.lowest, histogram.highest


def percentile(histogram: Histogram) -> Range:
    """All but the `CUT` share of values that are the farthest out."""
    edges = np.linspace(-histogram.reach, histogram.reach, 2 * HALF + 1)
    below = np.cumsum(histogram.counts) / histogram.counts.sum()
    low = edges[np.searchsorted(below, CUT / 2, side="right")]
    high = edges[np.searchsorted(below, 1 - CUT / 2) + 1]
    return max(float(low), histogram.lowest), min(float(high), histogram.highest)


def entropy(histogram: Histogram) -> Range:
    """The range whose quantized distribution differs least, by Kullback-Leibler divergence, from the real one.

    Source: Migacz, 8-bit inference with TensorRT, GTC 2017.
    """
    counts = histogram.counts[HALF:] + histogram.counts[HALF - 1 :: -1]
    counts[0] = counts[1]  # zero is exact at any scale, and padding and ReLU have many
    if not counts.any():
        return minmax(histogram)
    sizes = range(LEVELS, HALF + 1)
    best = sizes[int(np.argmin([_divergence(counts, size) for size in sizes]))]
    reach = best * histogram.reach / HALF
    return max(-reach, histogram.lowest), min(reach, histogram.highest)


METHODS: dict[str, Callable[[Histogram], Range]] = {"minmax": minmax, "entropy": entropy, "percentile": percentile}


def _divergence(counts: npt.NDArray[np.int64], size: int) -> float:
    """Of magnitudes [HALF], cut to the first `size` bins and merged into LEVELS, from the same with clipped values."""
    kept = counts[:size].astype(np.float64)
    clipped = kept.copy()
    clipped[-1] += counts[size:].sum()
    starts = np.arange(LEVELS) * size // LEVELS
    filled = np.add.reduceat(kept > 0, starts)
    level = np.repeat(np.arange(LEVELS), np.diff(np.append(starts, size)))
    merged = np.where(kept > 0, (np.add.reduceat(kept, starts) / np.maximum(filled, 1))[level], 0.0)
    if not merged.any():
        return np.inf
    p, q = clipped / clipped.sum(), merged / merged.sum()
    there = p > 0
    return float((p[there] * np.log(p[there] / np.maximum(q[there], 1e-12))).sum())
