"""Which static size each pair runs at, and how many pairs of one size at once."""

from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.lengths import FRAME_BUCKETS, LEFT_FRAME_BUCKETS, WORD_BUCKETS
from jsf.runtime.meminfo import meminfo

LIVE = 3
"""Joint tensors that live at a time: the product of frames and words, D2's output and D3's."""

LEAST = 4
"""Pairs that share one reading of the weights, where a cache holds fewer."""

MOST_BYTES = 8 << 20
"""Of a joint tensor: 16 pairs of 39 x 7 at once are the fastest even where a cache holds more, 120 are 12% slower."""


def lattice(left_padded: bool = False) -> list[tuple[int, int]]:
    """The (frames, words) that a matcher runs at where its backend has none of its own."""
    return list(product(LEFT_FRAME_BUCKETS if left_padded else FRAME_BUCKETS, WORD_BUCKETS))


def smallest_buckets(
    frames: npt.NDArray[np.integer[Any]], words: npt.NDArray[np.integer[Any]], buckets: Sequence[tuple[int, int]]
) -> npt.NDArray[np.intp]:
    """The bucket of the fewest cells that holds each pair: [P], an index into `buckets`.

    Args:
        frames: [P], the frames that each pair needs.
        words: [P], likewise.
        buckets: (frames, words) of each.

    Raises:
        JsfError: a pair is larger than every bucket.
    """
    sizes, index = np.unique(np.stack([frames, words]), axis=1, return_inverse=True)
    offered = np.array(buckets)[:, :, None]  # [K, 2, 1]
    fits = (offered >= sizes).all(1)  # [K, U]
    if not fits.any(0).all():
        n, m = sizes[:, ~fits.any(0)][:, 0]
        raise JsfError(f"a pair of {n} frames and {m} words fits none of the matcher's sizes: {sorted(buckets)}.")
    smallest: npt.NDArray[np.intp] = np.where(fits, offered.prod(1), np.iinfo(np.int64).max).argmin(0)
    return smallest[index.reshape(-1)]


def pairs_at_once(frames: int, words: int, width: int) -> int:
    """How many pairs run at once: the joint tensors [P, N, M, J] that the processor's cache and free memory hold."""
    pair = frames * words * width * 4
    return max(1, min(MOST_BYTES // pair, max(LEAST, _cache_bytes() // (LIVE * pair)), _free_bytes() // (8 * pair)))


@cache
def _cache_bytes() -> int:
    """The size of the first core's largest cache; 8 MiB where the system does not say."""
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    sizes = [path.read_text().strip() for path in folder.glob("index*/size")]
    return max((int(size[:-1]) << 10 for size in sizes if size.endswith("K")), default=8 << 20)


def _free_bytes() -> int:
    """The memory that programs can have now; plenty where the system does not say."""
    return meminfo("MemAvailable") or MOST_BYTES * 8
