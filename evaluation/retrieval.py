"""The retrieval protocol: every sentence ranks all videos, every video ranks all sentences."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption, video_ids
from jsf.data.errors import JsfError
from jsf.data.sequence import sample_steps
from jsf.data.store import FeatureStore
from jsf.evaluation.metrics import Ranking, ranking


class MatrixScorer(Protocol):
    """Anything that scores all pairs of videos and sentences.

    Attributes:
        description: what runs where.
        extractor: what made the features that it was trained on; "" where unknown.
    """

    description: str
    extractor: str

    def score_matrix(self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> scores [V, S]."""


@dataclass(frozen=True)
class Retrieval:
    """Both directions of the retrieval task.

    Attributes:
        text_to_video: every sentence is a query, the distinct videos are the gallery.
        video_to_text: every video is a query, all sentences are the gallery.
    """

    text_to_video: Ranking
    video_to_text: Ranking


def evaluate_retrieval(scorer: MatrixScorer, captions: list[Caption], store: FeatureStore) -> Retrieval:
    """Scores every video of `captions` with every sentence, and ranks both ways.

    Raises:
        JsfError: a video has no features, or they are not of the kind that the model takes.
    """
    if scorer.extractor and store.extractor and scorer.extractor != store.extractor:
        raise JsfError(
            f"{store.path} was extracted by '{store.extractor}'; the model was trained on '{scorer.extractor}'.",
            "Extract the videos again with the model's extractor.",
        )
    ids = video_ids(captions)
    videos = [features[sample_steps(len(features))] for features in map(store.read, ids)]
    scores = scorer.score_matrix(videos, [caption.sentence for caption in captions])
    described = np.array([caption.video_id for caption in captions])
    return rank_both(scores, np.array(ids)[:, None] == described[None, :])


def rank_both(scores: npt.NDArray[np.float32], relevant: npt.NDArray[np.bool_]) -> Retrieval:
    """Scores [V, S] and which sentence describes which video [V, S] -> both directions."""
    return Retrieval(ranking(scores.T, relevant.T), ranking(scores, relevant))
