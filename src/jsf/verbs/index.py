"""`jsf index`: videos into a collection that `jsf search` searches."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from jsf.data.captions import read_captions
from jsf.data.errors import JsfError
from jsf.data.sequence import load_sequence
from jsf.data.store import HDF5_SUFFIXES, open_features
from jsf.runtime.bundle import Bundle
from jsf.runtime.features import Stored
from jsf.runtime.index.build import Outcome, Source, add_videos
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.graph import has_faiss
from jsf.runtime.index.growing import grow_graph, outgrown
from jsf.runtime.index.models import Models
from jsf.runtime.index.recall import measure_recall
from jsf.verbs.output import note, print_json
from jsf.verbs.recall import graph_json, method_text, recall_json, recall_text
from jsf.verbs.videos import VideoReader


def show_index(
    paths: Sequence[Path],
    out: Path,
    bundle: Path | None,
    embedding: Path | None,
    captions: Path | None,
    device: str,
    precision: str,
    json: bool,
) -> None:
    """Adds videos to an index, measures its first stage where captions are given, and says what it holds.

    Raises:
        JsfError: bad input; of several videos, after those that can be encoded are in the index.
    """
    rows = read_captions(captions) if captions else []
    models = Models.load(bundle, embedding, device, precision)
    second = f"second stage: {models.second_stage}" if models.matcher else "no second stage"
    note(f"first stage: {models.first_stage}; {second}; {models.description}")
    outcome = add_videos(out, models, list(find_sources(paths, models.extracting, device, precision)))
    if not (out / "index.json").is_file():
        raise _failed(outcome)
    if outgrown(Contents.load(out)) and has_faiss():
        grow_graph(out, models, [row.sentence for row in rows])
    if rows:
        measure_recall(out, models, rows, str(captions))
    contents = Contents.load(out)
    if json:
        print_json(
            {
                "index": str(out),
                "videos": contents.videos,
                "added": outcome.added,
                "known": outcome.known,
                "failed": [{"video": name, "error": error.message} for name, error in outcome.failures.items()],
                "first_stage": models.first_stage,
                "second_stage": models.second_stage,
                "graph": graph_json(contents),
                "recall": recall_json(contents.recall),
                "backend": models.description,
            }
        )
    else:
        note(f"{outcome.added:,} videos added, {outcome.known:,} were there already, by their ids")
        note(f"first stage: {method_text(contents)}")
        note(recall_text(contents))
        print(f"{contents.videos:,} videos in {out}")
    if outcome.failures:
        raise _failed(outcome)


def find_sources(paths: Sequence[Path], bundle: Bundle, device: str, precision: str = "auto") -> Iterator[Source]:
    """The videos that paths name: .npz files, HDF5 stores, video files, and folders of .npz or of video files.

    Raises:
        JsfError: a path does not exist, or a folder holds none.
    """
    reader = VideoReader(bundle, device, precision)
    for path in paths:
        if path.suffix in HDF5_SUFFIXES or (path.is_dir() and any(path.glob("[!.]*.npz"))):
            store = open_features(path.absolute())
            for video in (Stored(store, video_id) for video_id in store.ids()):
                yield Source(video.id, video.name, video.read)
        elif path.suffix.lower() == ".npz":
            yield Source(path.stem, str(path.absolute()), partial(load_sequence, path))
        else:
            from jsf.extraction.files import find_videos

            for file in find_videos([path]):
                yield Source(file.stem, str(file.absolute()), partial(reader.read, str(file)))


def _failed(outcome: Outcome) -> JsfError:
    shown = list(outcome.failures.items())[:10]
    lines = "\n".join(f"  {name}: {error.message}" for name, error in shown)
    more = f"\n  and {len(outcome.failures) - len(shown):,} more" if len(outcome.failures) > len(shown) else ""
    fix = shown[0][1].fix or "All other videos are in the index; the same command tries these again."
    return JsfError(f"{len(outcome.failures):,} videos could not be indexed:\n{lines}{more}", fix)
