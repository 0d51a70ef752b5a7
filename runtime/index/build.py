"""Building an index: videos are encoded and appended a segment at a time, so a killed run loses the last one alone."""

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import numpy as np

from jsf.data.ahead import ahead
from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import FeatureSequence
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.made_by import check_made_by
from jsf.runtime.index.models import Models
from jsf.runtime.index.segment import Encodings, read_ids, write_segment
from jsf.runtime.index.writing import clean, writing

BATCH = 32
"""Videos that are read and encoded at once."""

SEGMENT = 1024
SEGMENT_SECONDS = 600
"""A segment is closed at so many videos, or after so long: what a kill can lose."""


@dataclass(frozen=True)
class Source:
    """A video to index: its id in the collection, where it lies, and how its features are read."""

    id: str
    name: str
    read: Callable[[], FeatureSequence]


@dataclass
class Outcome:
    """What became of the videos.

    Attributes:
        added: how many are new in the index.
        known: how many were there already, by their id.
        failures: why the others are not: where a video lies -> what is wrong with it.
    """

    added: int = 0
    known: int = 0
    failures: dict[str, JsfError] = field(default_factory=dict)


def add_videos(folder: Path, models: Models, sources: Sequence[Source]) -> Outcome:
    """Appends to an index the videos whose ids it does not have, or begins one. Readers may search it meanwhile.

    Raises:
        JsfError: two videos share an id, other models made the index, another process is writing it, the folder is
            something else, or it cannot be written. A video that cannot be encoded is a failure in the outcome.
    """
    _check_ids(sources)
    with writing(folder):
        begun = (folder / "index.json").is_file()
        contents = Contents.load(folder) if begun else models.contents(folder)
        check_made_by(contents, models, folder)
        clean(folder, contents)
        known = {video_id for segment in contents.segments for video_id in read_ids(folder, segment)[0]}
        new = [source for source in sources if source.id not in known]
        outcome = Outcome(known=len(sources) - len(new))
        for members, encodings in _segments(models, new, outcome.failures):
            ids, names = [member.id for member in members], [member.name for member in members]
            number = len(contents.segments)
            written = write_segment(folder, number, ids, names, encodings, models.description)
            contents = replace(contents, segments=(*contents.segments, written))
            contents.save(folder)
            outcome.added += len(members)
    return outcome


def _segments(
    models: Models, sources: Sequence[Source], failures: dict[str, JsfError]
) -> Iterator[tuple[list[Source], Encodings]]:
    """Encoded videos, as many as a segment has."""
    reading = ahead(_read(models, sources, failures), BATCH)
    members: list[Source] = []
    parts: list[Encodings] = []
    started = time.monotonic()
    while batch := list(islice(reading, BATCH)):
        members += [source for source, _ in batch]
        parts.append(models.encode([video for _, video in batch]))
        if len(members) >= SEGMENT or time.monotonic() - started > SEGMENT_SECONDS:
            yield members, _joined(parts)
            members, parts, started = [], [], time.monotonic()
    if members:
        yield members, _joined(parts)


def _read(
    models: Models, sources: Sequence[Source], failures: dict[str, JsfError]
) -> Generator[tuple[Source, FeatureSequence], None, None]:
    for source in track(sources, "indexing", len(sources)):
        try:
            video = source.read()
            models.check(video)
        except JsfError as error:
            failures[source.name] = error
        else:
            yield source, video


def _joined(parts: Sequence[Encodings]) -> Encodings:
    embeddings = np.concatenate([part.embeddings for part in parts])
    frames = [part.frames for part in parts if part.frames is not None]
    lengths = [part.lengths for part in parts if part.lengths is not None]
    return Encodings(embeddings, np.concatenate(frames), np.concatenate(lengths)) if frames else Encodings(embeddings)


def _check_ids(sources: Sequence[Source]) -> None:
    first: dict[str, str] = {}
    for source in sources:
        if (other := first.setdefault(source.id, source.name)) != source.name:
            raise JsfError(f"two videos have the id '{source.id}': {other} and {source.name}.", "Rename one of them.")
