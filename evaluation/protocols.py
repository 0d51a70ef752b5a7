"""What a scorer offers to each task's evaluation; scorers of checkpoints and of bundles offer the same."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from jsf.data.levels import Text, Viewed
from jsf.data.vocabulary import Vocabulary


class Described(Protocol):
    """Any scorer.

    Attributes:
        task: what it was trained for.
        description: what runs where.
        extractor: what made the features that it was trained on; "" where unknown.
    """

    task: str
    description: str
    extractor: str


class MatrixScorer(Described, Protocol):
    """Scores all pairs of videos and sentences."""

    def score_matrix(self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> scores [V, S]."""


class PairScorer(Described, Protocol):
    """Scores chosen pairs of videos and sentences."""

    def match_pairs(
        self,
        videos: Sequence[npt.NDArray[Any]],
        sentences: Sequence[str],
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
    ) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> scores [P] of video rows[p] with sentence columns[p]."""


class WordScorer(Described, Protocol):
    """Scores the words that may fill the blank of a sentence."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words by column of the scores."""

    def score_words(
        self,
        videos: Sequence[npt.NDArray[Any]],
        sentences: Sequence[str],
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
    ) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences with one blank -> [P, |V|] of video rows[p] with sentence columns[p]."""


class Embedder(Described, Protocol):
    """Puts videos and texts into one space, where the cosine scores them."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The words that it knows."""

    def embed_videos(self, videos: Sequence[Viewed]) -> npt.NDArray[np.float32]:
        """Features or clips -> [V, E], of unit length."""

    def embed_texts(self, texts: Sequence[Text]) -> npt.NDArray[np.float32]:
        """Sentences or paragraphs -> [S, E], of unit length."""
