"""What the embedders of checkpoints and of bundles share: batches in, unit vectors out, and scores from those."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from jsf.data.ahead import ahead
from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.levels import Levels, Limits, Text, Viewed, text_levels, video_levels
from jsf.data.progress import track
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.features import Video, key, model_features

AT_ONCE = 32
"""Videos or texts in a batch."""

Item = TypeVar("Item")


class EmbeddingScorer(ABC):
    """Embeds videos and texts; how well two fit is the cosine of their vectors, from -1 to 1.

    Attributes:
        task: "embedding".
        vocabulary: the words that the model knows.
        description: what runs where.
        extractor: what made the features that the model was trained on; "" where unknown.
        feature_width: D of a frame's features.
        limits: how much of a video and of a text the model takes.
        width: E of an embedding.
    """

    task = "embedding"
    vocabulary: Vocabulary
    description: str
    extractor: str
    feature_width: int
    limits: Limits
    width: int

    @property
    def hierarchical(self) -> bool:
        """Whether clips and sentences count."""
        return self.limits.hierarchical

    @abstractmethod
    def _videos(self, levels: Levels) -> npt.NDArray[np.float32]:
        """The embeddings [B, E] of a batch."""

    @abstractmethod
    def _texts(self, levels: Levels) -> npt.NDArray[np.float32]:
        """The embeddings [B, E] of a batch."""

    def embed_videos(self, videos: Sequence[Video | Clips]) -> npt.NDArray[np.float32]:
        """Videos -> [V, E], of unit length. A hierarchical model cuts a video without clips into equal ones.

        Raises:
            JsfError: there are none, or their features are not of the kind that the model takes.
        """
        parts = _batches(videos)
        reading = ahead(video_levels([self._viewed(v) for v in part], self.limits) for part in parts)
        return np.concatenate([self._videos(levels) for levels in track(reading, "embedding videos", len(parts))])

    def embed_texts(self, texts: Sequence[Text]) -> npt.NDArray[np.float32]:
        """Sentences, or paragraphs as lists of sentences -> [S, E], of unit length; unknown words are dropped.

        Raises:
            JsfError: there are none.
        """
        if any(not text for text in texts):
            raise JsfError("a text is empty: it has no sentence.")
        parts = _batches(texts)
        levels = (text_levels(part, self.vocabulary, self.limits) for part in parts)
        return np.concatenate([self._texts(each) for each in track(levels, "embedding texts", len(parts))])

    def features(self, video: Video) -> npt.NDArray[Any]:
        """A video's features [T, D].

        Raises:
            JsfError: they are invalid, of another width, or of another extractor than the model was trained on.
        """
        return model_features(video, self.extractor, self.feature_width)

    def _viewed(self, video: Video | Clips) -> Viewed:
        if not isinstance(video, Clips):
            return self.features(video)
        if not video.clips:
            raise JsfError("a video has no clips.", "Give one or more, or the features alone.")
        for features in (video.whole, *video.clips):
            self.features(features)
        return video

    def score(self, video: Video | Clips, text: Text) -> float:
        """The cosine of one pair; raises JsfError as `embed_videos`."""
        return float(self.score_pairs([(video, text)])[0])

    def score_pairs(self, pairs: Sequence[tuple[Video | Clips, Text]]) -> npt.NDArray[np.float32]:
        """Cosines of (video, text) pairs: [P]. Each distinct video and text is embedded once.

        Raises:
            JsfError: as `embed_videos`, or none of a text's words is known.
        """
        videos = {key(video): video for video, _ in pairs}
        texts = {key(text): text for _, text in pairs}
        for text in texts.values():
            self.vocabulary.encode(text if isinstance(text, str) else " ".join(text))
        rows, columns = ({key: i for i, key in enumerate(distinct)} for distinct in (videos, texts))
        return self.match_pairs(
            list(videos.values()),
            list(texts.values()),
            np.array([rows[key(video)] for video, _ in pairs]),
            np.array([columns[key(text)] for _, text in pairs]),
        )

    def score_matrix(self, videos: Sequence[Video | Clips], texts: Sequence[Text]) -> npt.NDArray[np.float32]:
        """Cosines of every video with every text: [V, S]."""
        return self.embed_videos(videos) @ self.embed_texts(texts).T

    def match_pairs(
        self,
        videos: Sequence[Video | Clips],
        texts: Sequence[Text],
        rows: npt.NDArray[np.integer[Any]],
        columns: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float32]:
        """Cosines of video `rows[p]` with text `columns[p]`: [P]."""
        found: npt.NDArray[np.float32] = np.einsum(
            "pe,pe->p", self.embed_videos(videos)[rows], self.embed_texts(texts)[columns]
        )
        return found


def _batches(items: Sequence[Item]) -> list[Sequence[Item]]:
    if not items:
        raise JsfError("there is nothing to embed: no video or no text was given.")
    return [items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE)]
