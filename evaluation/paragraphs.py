"""The paragraph protocol: every paragraph ranks all videos by the cosine, every video ranks all paragraphs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption
from jsf.data.paragraphs import Paragraph
from jsf.data.store import FeatureStore
from jsf.evaluation.embeddings import cosines, embed_rows
from jsf.evaluation.inputs import distinct
from jsf.evaluation.metrics import ranking
from jsf.evaluation.protocols import Embedder
from jsf.evaluation.retrieval import Retrieval


def evaluate_paragraphs(
    embedder: Embedder, paragraphs: Sequence[Paragraph | Caption], store: FeatureStore
) -> Retrieval:
    """Ranks every video, seen through its clips, with every paragraph, both ways.

    All paragraphs about a video are true of it, whatever its clips are. What is about one video is resampled together.

    Args:
        embedder: of videos and texts.
        paragraphs: with their clips; a caption is a paragraph of one sentence about a whole video.
        store: has the features of the videos.

    Raises:
        JsfError: as `score_paragraphs`.
    """
    scores, relevant = score_paragraphs(embedder, paragraphs, store)
    first_text, first_video = relevant.argmax(1), relevant.argmax(0)
    return Retrieval(
        text_to_video=ranking(scores.T, relevant.T, groups=first_video),
        video_to_text=ranking(scores, relevant, groups=first_text),
    )


def score_paragraphs(
    embedder: Embedder, paragraphs: Sequence[Paragraph | Caption], store: FeatureStore
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Cosines [V, S] of every video with every paragraph, and which paragraph is about which video [V, S].

    Raises:
        JsfError: there are no paragraphs, a video has no features, or they are not of the kind that the model takes.
    """
    found = embed_rows(embedder, paragraphs, store)
    _, ids = distinct([*found.video_ids, *found.text_ids])
    videos, texts = np.split(ids, [len(found.video_ids)])
    return cosines(found.videos, found.texts), videos[:, None] == texts
