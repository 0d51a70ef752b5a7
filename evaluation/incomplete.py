"""Retrieval with incomplete videos and paragraphs: how much has to be seen of both before they find each other."""

from collections.abc import Sequence
from dataclasses import dataclass

from jsf.data.paragraphs import Paragraph, observed
from jsf.data.store import FeatureStore
from jsf.evaluation.paragraphs import evaluate_paragraphs
from jsf.evaluation.protocols import Embedder
from jsf.evaluation.retrieval import Retrieval

SHARES = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Observed:
    """What is reached with a share of every video and paragraph.

    Attributes:
        share: of the clips of each video and of the sentences of each paragraph, from the first; at least one is seen.
        retrieval: both directions; the gallery is as incomplete as the queries.
    """

    share: float
    retrieval: Retrieval


def evaluate_incomplete(
    embedder: Embedder, paragraphs: Sequence[Paragraph], store: FeatureStore, shares: Sequence[float] = SHARES
) -> list[Observed]:
    """The curve of `evaluate_paragraphs` over the share of clips and sentences that is seen.

    Raises:
        JsfError: as `evaluate_paragraphs`.

    Source: HSE (Zhang, Hu and Sha, ECCV 2018), retrieval with incomplete video and paragraph.
    """
    return [
        Observed(share, evaluate_paragraphs(embedder, [observed(each, share) for each in paragraphs], store))
        for share in shares
    ]
