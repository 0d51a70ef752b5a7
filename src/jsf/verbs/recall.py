"""How an index's first stage is told, and what it loses, so that nobody takes a lost candidate for a bad match."""

from dataclasses import asdict
from typing import Any

from jsf.runtime.index.contents import Contents
from jsf.runtime.index.first_stage import MOST
from jsf.runtime.index.graph import has_faiss
from jsf.runtime.index.growing import MANY
from jsf.runtime.index.records import Recall

EXACT = "exact product"


def method_text(contents: Contents, count: int = 1) -> str:
    """How the first stage finds the `count` nearest: by comparing all, or by a graph, which loses some."""
    graph = contents.graph
    if count > MOST:
        return EXACT
    install = "pip install '.[search]'"
    if graph is None:
        wanted = contents.videos > MANY and not has_faiss()
        return EXACT + (f" (with {install}, `jsf index` makes a graph, which is faster)" if wanted else "")
    finds = f"{100 * graph.agreement:.1f}% of the exact product's first 100, measured with {graph.queries}"
    if not graph.good:
        return f"{EXACT} (HNSW would find {finds})"
    if not has_faiss():
        return f"{EXACT} (the index's graph, which is faster, needs faiss: {install})"
    rest = contents.videos - graph.videos
    return f"HNSW over {graph.videos:,}{f', {EXACT} over {rest:,}' if rest else ''} (finds {finds})"


def graph_json(contents: Contents, count: int = 1) -> dict[str, Any] | None:
    """The graph that a search for the `count` nearest walks, for machines; None where all is compared."""
    graph = contents.graph
    if graph is None or not graph.good or not has_faiss() or count > MOST:
        return None
    return {name: value for name, value in asdict(graph).items() if name not in ("name", "hashes")}


def recall_text(contents: Contents, rerank: int | None = None) -> str:
    """One line: how often the first stage finds the right video, among the first `rerank` or at every measured K."""
    recall = contents.recall
    if recall is None:
        return "recall of the first stage: not measured (jsf index --captions TABLE measures it)"
    count = f"{recall.captions:,} captions, {recall.videos:,} videos"
    grown = f"; the index has grown to {contents.videos:,} since" if contents.videos > recall.videos else ""
    if rerank is None:
        shares = ", ".join(f"{100 * share:.1f}% at {k}" for k, share in recall.shares().items())
        return f"recall of the first stage: {shares} ({count}{grown})"
    found = recall.at(rerank)
    if found is None:
        return f"recall of the first stage: not measured at {rerank}"
    return f"recall of the first stage: {100 * found[1]:.1f}% among the first {found[0]} ({count}{grown})"


def recall_json(recall: Recall | None) -> dict[str, Any] | None:
    """The same, for machines; None where it was not measured."""
    if recall is None:
        return None
    shares = {str(k): share for k, share in recall.shares().items()}
    return {"table": recall.table, "captions": recall.captions, "videos": recall.videos, "at": shares}
