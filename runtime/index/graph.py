"""HNSW: a graph over embeddings that is walked toward a query's, from neighbour to neighbour, instead of comparing all.

faiss builds and walks it, and trusts what it walks. Its files are plain arrays, and are checked here before.
Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using HNSW graphs", 2016.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.extras import require
from jsf.runtime.index.checked import damaged, read_array
from jsf.runtime.index.records import GraphRecord

GRAPHS = "graphs"

LINKS = 16
"""Of a video in each level but the lowest, which has twice as many."""

CONSTRUCTION = 100
"""How many candidates are kept where a video's neighbours are sought."""

PER = 100
"""A walk of some breadth finds so many; one for more is broader."""


def has_faiss() -> bool:
    """Whether the extra `search` is installed."""
    return find_spec("faiss") is not None


class Hnsw:
    """A graph over the first of some vectors [V, E] of unit length.

    Args:
        storage: faiss's flat index of those vectors.
        levels: [V] int32, how many levels each is in; none yet by default.
        links: [L] int32, the neighbours of each, level by level, -1 where there are fewer than could be.
        breadth: how many candidates a walk for 100 keeps.

    Attributes:
        description: what builds and walks it.
    """

    def __init__(
        self,
        storage: Any,
        levels: npt.NDArray[np.int32] | None = None,
        links: npt.NDArray[np.int32] | None = None,
        breadth: int = PER,
    ) -> None:
        faiss = require("faiss", "search")
        self.storage, self.breadth, self.description = storage, breadth, f"faiss {faiss.__version__}"
        self._index = faiss.IndexHNSW(storage, LINKS)
        graph = self._index.hnsw
        graph.efConstruction = CONSTRUCTION
        if levels is not None and links is not None:
            faiss.copy_array_to_vector(levels, graph.levels)
            faiss.copy_array_to_vector(_offsets(levels).astype(np.uint64), graph.offsets)
            faiss.copy_array_to_vector(links, graph.neighbors)
            graph.entry_point, graph.max_level = int(levels.argmax()), int(levels.max()) - 1
            self._index.ntotal = len(levels)

    @classmethod
    def read(cls, index: Path, record: GraphRecord, storage: Any) -> "Hnsw":
        """Reads the graph of an index.

        Raises:
            JsfError: faiss is absent, or a file is missing, was changed, or leads out of the graph.
        """
        folder = index / GRAPHS / record.name
        levels, links = (folder / f"{name}.npy" for name in ("levels", "links"))
        hashes = record.hashes
        depths = read_array(levels, hashes.get(levels.name), np.int32, (record.videos,))
        if depths.min() < 1 or depths.max() > _most_levels():
            raise damaged(levels)
        targets = read_array(links, hashes.get(links.name), np.int32, (int(_offsets(depths)[-1]),))
        if not _inside(depths, targets):
            raise damaged(links)
        return cls(storage, depths, targets, record.breadth)

    def __len__(self) -> int:
        """How many vectors the graph covers."""
        return int(self._index.ntotal)

    @property
    def arrays(self) -> dict[str, npt.NDArray[np.int32]]:
        """The levels [V] and the links [L], as they are kept in files."""
        graph, faiss = self._index.hnsw, require("faiss", "search")
        return {"levels": faiss.vector_to_array(graph.levels), "links": faiss.vector_to_array(graph.neighbors)}

    def add(self, vectors: npt.NDArray[np.float32]) -> None:
        """Takes more vectors [B, E] into the storage, and links them."""
        self._index.add(vectors)

    def nearest(
        self, queries: npt.NDArray[np.float32], count: int
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        """Rows [Q, K] and cosines [Q, K] of those that a walk finds nearest, best first; -1 where it finds fewer."""
        breadth = max(self.breadth, self.breadth * count // PER)
        chosen = require("faiss", "search").SearchParametersHNSW(efSearch=breadth)
        cosines, rows = self._index.search(np.ascontiguousarray(queries), count, params=chosen)
        return rows, cosines


def empty(width: int, videos: int) -> Any:
    """A storage without vectors, that takes so many [E] without moving those that it has."""
    storage = require("faiss", "search").IndexFlatIP(width)
    storage.codes.resize(videos * width * np.dtype(np.float32).itemsize)
    storage.codes.resize(0)
    return storage


def view(vectors: npt.NDArray[np.float32]) -> Any:
    """A storage of vectors [V, E] that lie elsewhere, and must stay there."""
    faiss = require("faiss", "search")
    storage = faiss.IndexFlatIP(vectors.shape[1])
    data = faiss.swig_ptr(vectors.reshape(-1).view(np.uint8))
    storage.codes = faiss.MaybeOwnedVectorUInt8.create_view(data, vectors.nbytes, storage.codes.owner)
    storage.ntotal = len(vectors)
    return storage


def vectors_of(storage: Any) -> npt.NDArray[np.float32]:
    """The vectors [V, E] of a storage, which must stay."""
    found: npt.NDArray[np.float32] = require("faiss", "search").rev_swig_ptr(
        storage.get_xb(), storage.ntotal * storage.d
    )
    return found.reshape(storage.ntotal, storage.d)


def _offsets(levels: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Where the links of each begin, and where the last end: [V + 1]."""
    return np.concatenate([[0], np.cumsum(LINKS * (levels.astype(np.int64) + 1))])


def _most_levels() -> int:
    """How many levels faiss has tables for."""
    graph = require("faiss", "search").HNSW(LINKS)
    return int(graph.cum_nneighbor_per_level.size()) - 1


def _inside(levels: npt.NDArray[np.int32], links: npt.NDArray[np.int32]) -> bool:
    """Whether every link leads to a vector that is in the link's level."""
    if links.min() < -1 or links.max() >= len(levels):
        return False
    starts = _offsets(levels)[:-1]
    for level in range(1, int(levels.max())):
        own = np.arange(LINKS * (level + 1), LINKS * (level + 2))
        targets = links[starts[levels > level][:, None] + own]
        if (levels[targets[targets >= 0]] <= level).any():
            return False
    return True
