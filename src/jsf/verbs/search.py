"""`jsf search`: the videos of an index that fit a sentence, or the texts that fit a video."""

from collections.abc import Sequence
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.runtime.index.search import Hit, Searcher
from jsf.verbs.output import note, print_json, print_table
from jsf.verbs.recall import EXACT, graph_json, method_text, recall_json, recall_text
from jsf.verbs.videos import VideoReader, check_sentence


def show_search(
    query: str | None,
    video: str | None,
    texts: Path | None,
    index: Path,
    top: int,
    rerank: int,
    bundle: Path | None,
    embedding: Path | None,
    device: str,
    precision: str,
    json: bool,
) -> None:
    """Prints the videos that fit a sentence best, or the texts of a file that fit a video best.

    Raises:
        JsfError: bad input, the index is damaged, or its bundles are not there or are others.
    """
    if (video is None) != (texts is None) or (query is None) == (video is None):
        raise JsfError(
            "a sentence is expected, or --video and --texts in its place.",
            'For example: jsf search "a car speeds", or jsf search --video clip.npz --texts sentences.txt',
        )
    if query is not None:
        check_sentence(query)
    lines = read_lines(texts) if texts else []
    searcher = Searcher.load(index, bundle, embedding, device, precision)
    if searcher.models.matcher and top > rerank:
        raise JsfError(f"--top {top} asks for more than the {rerank} that are ranked.", f"Add --rerank {top}")
    if query is not None:
        if unknown := searcher.models.unknown(query):
            note(f"words that the models do not know are left out: {', '.join(unknown)}")
        hits = searcher.search(query, top, rerank)
    else:
        assert video is not None
        features = VideoReader(searcher.models.extracting, device, precision).read(video)
        hits = searcher.rank_texts(features, lines, top, rerank)
    show_hits(hits, searcher, query or str(video), "video" if query else "text", len(lines), rerank, json)


def show_hits(
    hits: Sequence[Hit], searcher: Searcher, query: str, what: str, texts: int, rerank: int, json: bool
) -> None:
    """Prints what was found, through which stages, and how much the first of them finds."""
    models, contents = searcher.models, searcher.collection.contents
    among = contents.videos if what == "video" else texts
    reranked = min(rerank, among) if models.matcher else 0
    wanted = rerank if models.matcher else len(hits)
    if json:
        found = [{what: hit.name, "source": hit.source, "score": hit.score, "cosine": hit.cosine} for hit in hits]
        stages = {"first_stage": models.first_stage, "second_stage": models.second_stage, "reranked": reranked}
        first = {"graph": graph_json(contents, wanted), "recall": recall_json(contents.recall)}
        told = stages | (first if what == "video" else {})
        print_json({"query": query, "among": among, **told, "backend": models.description, "hits": found})
        return
    second = f"the first {reranked:,} ranked by {models.second_stage}" if models.matcher else "no second stage"
    method = method_text(contents, wanted) if what == "video" else EXACT
    note(f"{among:,} {what}s by {models.first_stage}, {method}; {second}; {models.description}")
    if what == "video":
        note(recall_text(contents, wanted))
    rows = [(hit.name, f"{hit.score:.4f}", f"{hit.cosine:.4f}", str(rank)) for rank, hit in enumerate(hits, start=1)]
    print_table(f'"{query}"' if what == "video" else query, (what, "score", "cosine", "rank"), rows)


def read_lines(path: Path) -> list[str]:
    """The sentences of a text file, one a line; empty lines are left out.

    Raises:
        JsfError: the file is missing, is not text, or has none.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise JsfError(f"{path} is not a readable text file: {error}.") from error
    if not any(lines):
        raise JsfError(f"{path} has no sentences.", "Write one a line.")
    return [line for line in lines if line]
