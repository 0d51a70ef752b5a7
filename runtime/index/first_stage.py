"""The first stage of a search: which vectors of a collection are nearest to a query's, by an exact product."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

BLOCK_BYTES = 64 << 20
"""Size of the scores [Q, V] that are held at once."""


def nearest(
    gallery: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], count: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """The `count` members of a gallery whose cosine with each query is greatest, best first; of equals the first.

    Args:
        gallery: [V, E], of unit length.
        queries: [Q, E], of unit length.
        count: K; at most V are found.

    Returns:
        Their rows [Q, K] and their cosines [Q, K].
    """
    count = min(count, len(gallery))
    rows = np.empty((len(queries), count), np.intp)
    cosines = np.empty((len(queries), count), np.float32)
    for some, scores in _blocks(gallery, queries):
        best = np.sort(np.argpartition(-scores, count - 1)[:, :count])
        found = np.take_along_axis(scores, best, 1)
        order = np.argsort(-found, axis=1, kind="stable")
        rows[some], cosines[some] = np.take_along_axis(best, order, 1), np.take_along_axis(found, order, 1)
    return rows, cosines


def ranks(
    gallery: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], true: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """The rank [Q], from 1, of member `true[q]` for query q; the last of those that tie."""
    found = np.empty(len(queries), np.intp)
    for some, scores in _blocks(gallery, queries):
        own = np.take_along_axis(scores, true[some][:, None], 1)
        found[some] = (scores >= own).sum(1)
    return found


def _blocks(
    gallery: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]
) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    size = max(1, BLOCK_BYTES // (4 * len(gallery)))
    for start in range(0, len(queries), size):
        some = slice(start, start + size)
        yield some, queries[some] @ gallery.T
