"""Videos and texts in the space of an embedder, where the cosine says how well two fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption
from jsf.data.clips import WHOLE, Clips, Span
from jsf.data.levels import Viewed
from jsf.data.paragraphs import Paragraph
from jsf.data.progress import track
from jsf.data.store import FeatureStore
from jsf.evaluation.inputs import check_inputs, distinct
from jsf.evaluation.protocols import Embedder

VIDEOS_AT_ONCE = 32
"""Videos whose features are held at a time."""

View: TypeAlias = tuple[str, tuple[Span, ...], Span]
"""A video's id, the spans of its clips, and what is seen of it; without spans, the video as it is."""


@dataclass(frozen=True)
class Embeddings:
    """What the rows of a table are in an embedder's space.

    Attributes:
        video_ids: [V], in order of first appearance; a video is there once for each different set of clips.
        videos: [V, E] float32, of unit length.
        text_ids: [S], the id of the video that each row's text is about.
        texts: [S, E] float32, of unit length.
    """

    video_ids: list[str]
    videos: npt.NDArray[np.float32]
    text_ids: list[str]
    texts: npt.NDArray[np.float32]


def embed_rows(embedder: Embedder, rows: Sequence[Caption | Paragraph], store: FeatureStore) -> Embeddings:
    """Embeds the video and the text of each row: a paragraph's clips and sentences, or a whole video and its caption.

    Raises:
        JsfError: there are no rows, a video has no features, or they are not of the kind that the model takes.
    """
    views, _ = distinct(_view(row) for row in rows)
    texts, index = distinct(row.sentences if isinstance(row, Paragraph) else row.sentence for row in rows)
    return Embeddings(
        video_ids=[video_id for video_id, _, _ in views],
        videos=embed_videos(embedder, views, store),
        text_ids=[row.video_id for row in rows],
        texts=embedder.embed_texts(texts)[index],
    )


def embed_videos(embedder: Embedder, views: Sequence[View], store: FeatureStore) -> npt.NDArray[np.float32]:
    """The embeddings [V, E] of videos, read a few at a time, because thousands of long ones would fill the memory.

    Raises:
        JsfError: as `embed_rows`.
    """
    check_inputs(embedder, store, [video_id for video_id, _, _ in views])
    parts = [views[start : start + VIDEOS_AT_ONCE] for start in range(0, len(views), VIDEOS_AT_ONCE)]
    reading = ([_read(store, *view) for view in part] for part in track(parts, "embedding videos", len(parts)))
    return np.concatenate([embedder.embed_videos(videos) for videos in reading])


def cosines(videos: npt.NDArray[np.float32], texts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The cosines [V, S] of unit vectors [V, E] and [S, E]; float64 keeps those of equal vectors equal, as ties."""
    return (videos.astype(np.float64) @ texts.T.astype(np.float64)).astype(np.float32)


def _view(row: Caption | Paragraph) -> View:
    return (row.video_id, row.spans, row.seen) if isinstance(row, Paragraph) else (row.video_id, (), WHOLE)


def _read(store: FeatureStore, video_id: str, spans: tuple[Span, ...], seen: Span) -> Viewed:
    features = store.read(video_id)
    return Clips.of(features, spans, seen) if spans else features
