"""The retrieval protocol: every sentence ranks all videos, every video ranks all sentences."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption
from jsf.data.store import FeatureStore
from jsf.evaluation.inputs import check_inputs, distinct, read_videos
from jsf.evaluation.metrics import Ranking, ranking
from jsf.evaluation.protocols import MatrixScorer


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
        JsfError: as `score_retrieval`.
    """
    return rank_both(*score_retrieval(scorer, captions, store))


def score_retrieval(
    scorer: MatrixScorer, captions: list[Caption], store: FeatureStore
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Scores [V, S] of every video of `captions` with every sentence, and which sentence describes which video [V, S].

    Raises:
        JsfError: there are no captions, a video has no features, or they are not of the kind that the model takes.
    """
    ids, described = distinct(caption.video_id for caption in captions)
    check_inputs(scorer, store, ids)
    scores = scorer.score_matrix(read_videos(store, ids, scorer), [caption.sentence for caption in captions])
    return scores, np.arange(len(ids))[:, None] == described


def rank_both(scores: npt.NDArray[np.float32], relevant: npt.NDArray[np.bool_]) -> Retrieval:
    """Scores [V, S] and which sentence describes which video [V, S] -> both directions.

    Sentences of one video are resampled together; a sentence describes one video.
    """
    return Retrieval(ranking(scores.T, relevant.T, groups=relevant.argmax(0)), ranking(scores, relevant))
