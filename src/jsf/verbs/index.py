"""`jsf index`: videos into a collection that `jsf search` searches."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from jsf.data.captions import read_captions
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence, load_sequence
from jsf.data.store import HDF5_SUFFIXES, FeatureStore, open_features
from jsf.runtime.bundle import Bundle
from jsf.runtime.index.build import Outcome, Source, add_videos
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.models import Models
from jsf.runtime.index.recall import measure_recall
from jsf.verbs.output import note, print_json
from jsf.verbs.recall import recall_json, recall_text
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
    outcome = add_videos(out, models, list(find_sources(paths, models.extracting, device)))
    if not (out / "index.json").is_file():
        raise _failed(outcome)
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
                "recall": recall_json(contents.recall),
                "backend": models.description,
            }
        )
    else:
        note(f"{outcome.added:,} videos added, {outcome.known:,} were there already, by their ids")
        note(recall_text(contents))
        print(f"{contents.videos:,} videos in {out}")
    if outcome.failures:
        raise _failed(outcome)


def find_sources(paths: Sequence[Path], bundle: Bundle, device: str) -> Iterator[Source]:
    """The videos that paths name: .npz files, HDF5 stores, video files, and folders of .npz or of video files.

    Raises:
        JsfError: a path does not exist, or a folder holds none.
    """
    reader = VideoReader(bundle, device)
    for path in paths:
        if path.suffix in HDF5_SUFFIXES or (path.is_dir() and any(path.glob("[!.]*.npz"))):
            yield from _stored(open_features(path))
        elif path.suffix.lower() == ".npz":
            yield Source(path.stem, str(path.absolute()), partial(load_sequence, path))
        else:
            from jsf.extraction.files import find_videos

            for video in find_videos([path]):
                yield Source(video.stem, str(video.absolute()), partial(reader.read, str(video)))


def _stored(store: FeatureStore) -> Iterator[Source]:
    path = store.path.absolute()
    for video_id in store.ids():
        name = str(path / f"{video_id}.npz") if path.is_dir() else f"{path}#{video_id}"
        yield Source(video_id, name, partial(_read, store, video_id, name))


def _read(store: FeatureStore, video_id: str, name: str) -> FeatureSequence:
    return FeatureSequence(store.read(video_id), extractor=store.extractor, source=name)


def _failed(outcome: Outcome) -> JsfError:
    shown = list(outcome.failures.items())[:10]
    lines = "\n".join(f"  {name}: {error.message}" for name, error in shown)
    more = f"\n  and {len(outcome.failures) - len(shown):,} more" if len(outcome.failures) > len(shown) else ""
    fix = shown[0][1].fix or "All other videos are in the index; the same command tries these again."
    return JsfError(f"{len(outcome.failures):,} videos could not be indexed:\n{lines}{more}", fix)
