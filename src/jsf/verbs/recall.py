"""How the recall of an index's first stage is told, so that nobody takes a lost candidate for a bad match."""

from typing import Any

from jsf.runtime.index.contents import Contents, Recall


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
