"""The first stage of a search: which vectors of a collection are nearest to a query's.

By an exact product with all of them; where a graph covers the first, it is walked, and the product is with the others.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from jsf.runtime.index.graph import Hnsw

BLOCK_BYTES = 64 << 20
"""Size of the scores [Q, V] that are held at once."""

MOST = 1000
"""How many a graph is asked for: where more are wanted, all are compared."""

Nearest = tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]
"""Rows [Q, K] and cosines [Q, K], best first."""


def nearest(
    gallery: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], count: int, graph: Hnsw | None = None
) -> Nearest:
    """The `count` members of a gallery whose cosine with each query is greatest, best first; of equals the first.

    Args:
        gallery: [V, E], of unit length.
        queries: [Q, E], of unit length.
        count: K; at most V are found.
        graph: over the first of the gallery; without one the answer is exact.

    Returns:
        Their rows [Q, K] and their cosines [Q, K].
    """
    count = min(count, len(gallery))
    if graph is None or count > MOST:
        return _exact(gallery, queries, count)
    rows, cosines = graph.nearest(queries, count)
    if len(graph) < len(gallery):
        others, their_cosines = _exact(gallery[len(graph) :], queries, min(count, len(gallery) - len(graph)))
        rows, cosines = np.hstack([rows, others + len(graph)]), np.hstack([cosines, their_cosines])
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        rows, cosines = np.take_along_axis(rows, order, 1), np.take_along_axis(cosines, order, 1)
    # A walk can end before it has found enough.
    return (rows, cosines) if (rows >= 0).all() else _exact(gallery, queries, count)


def _exact(gallery: npt.NDArray[np.float32], queries: npt.NDArray[np.float32], count: int) -> Nearest:
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
