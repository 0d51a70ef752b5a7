"""The graph of a large index: built past so many videos, and grown when the index has outgrown it."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.first_stage import nearest
from jsf.runtime.index.graph import GRAPHS, PER, Hnsw, empty, vectors_of
from jsf.runtime.index.made_by import check_made_by
from jsf.runtime.index.models import Models
from jsf.runtime.index.records import GraphRecord
from jsf.runtime.index.segment import read_embeddings
from jsf.runtime.index.writing import writing

MANY = 100_000
"""Videos that are compared one by one with every query."""

OUTSIDE = 0.1
"""The share of an index that its graph may leave to the exact product, before it grows."""

BREADTHS = (100, 200, 400, 800)

GOAL = 0.99
"""The agreement with the exact product that ends the search for a breadth."""

QUERIES = 200
"""With which the agreement is measured."""


def outgrown(contents: Contents) -> bool:
    """Whether an index is large, and has no graph or one that covers too little of it."""
    covered = contents.graph.videos if contents.graph else 0
    return contents.videos > MANY and contents.videos - covered > OUTSIDE * contents.videos


def grow_graph(folder: Path, models: Models, sentences: Sequence[str] = ()) -> None:
    """Builds the graph of an index, or has it cover all, and measures how much of the exact product it finds.

    Args:
        folder: the index.
        models: those that made it.
        sentences: to ask with; without any, some of the videos are asked with.

    Raises:
        JsfError: faiss is absent, other models made the index, it is damaged, or another process is writing it.
    """
    with writing(folder):
        contents = Contents.load(folder)
        check_made_by(contents, models, folder)
        graph = _graph(folder, contents)
        vectors = vectors_of(graph.storage)
        some = np.random.default_rng(0).permutation(len(sentences) or len(vectors))[:QUERIES]
        queries = models.embed_texts([sentences[i] for i in some]) if sentences else vectors[np.sort(some)]
        agreement = _widen(graph, vectors, queries)
        asked = f"{len(queries)} {'captions' if sentences else 'videos'}"
        name = f"{len(graph)}-{uuid.uuid4().hex[:8]}"
        with replacing(folder / GRAPHS / name) as temporary:
            temporary.mkdir()
            for array, values in graph.arrays.items():
                np.save(temporary / f"{array}.npy", values, allow_pickle=False)
            hashes = {path.name: sha256(path) for path in sorted(temporary.iterdir())}
        record = GraphRecord(name, len(graph), graph.description, hashes, graph.breadth, agreement, asked)
        # A recall is of the stage that measured it: with captions it is measured again.
        replace(contents, graph=record, recall=None).save(folder)


def _graph(folder: Path, contents: Contents) -> Hnsw:
    """A graph over all videos of an index, which takes over what the index has of it."""
    storage = empty(contents.width, contents.videos)
    graph = Hnsw.read(folder, contents.graph, storage) if contents.graph else Hnsw(storage)
    covered = len(graph)
    for segment in track(contents.segments, "linking", len(contents.segments)):
        vectors = read_embeddings(folder, segment, contents.width)
        if linked := max(0, covered - storage.ntotal):
            storage.add(vectors[:linked])
        graph.add(vectors[linked:])
    return graph


def _widen(graph: Hnsw, vectors: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]) -> float:
    """Sets the least breadth that finds nearly all of what the exact product finds; which share that is."""
    exact = nearest(vectors, queries, PER)[0]
    agreement = 0.0
    for graph.breadth in BREADTHS:
        found = graph.nearest(queries, exact.shape[1])[0]
        agreement = float(np.mean([np.isin(ours, theirs).mean() for ours, theirs in zip(exact, found, strict=True)]))
        if agreement >= GOAL:
            break
    return agreement
