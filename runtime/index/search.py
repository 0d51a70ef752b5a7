"""Searching: a first stage finds the nearest of a collection, and JSFusion ranks those again, frame by word."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jsf.data.sequence import FeatureSequence
from jsf.runtime.index.collection import Collection
from jsf.runtime.index.first_stage import nearest
from jsf.runtime.index.made_by import check_made_by
from jsf.runtime.index.models import Models
from jsf.runtime.index.records import BundleRecord
from jsf.runtime.matching import Encoded


@dataclass(frozen=True)
class Hit:
    """A video or a text that was found.

    Attributes:
        name: the video's id, or the text.
        source: where the video lay; "" of a text.
        score: by which it is ranked: JSFusion's, or the cosine where there is no second stage.
        cosine: with the query, in the first stage.
    """

    name: str
    source: str
    score: float
    cosine: float


class Searcher:
    """Searches an index.

    Attributes:
        collection: what is searched.
        models: with which.
    """

    def __init__(self, collection: Collection, models: Models) -> None:
        check_made_by(collection.contents, models, collection.folder)
        self.collection, self.models = collection, models

    @classmethod
    def load(
        cls,
        folder: Path,
        bundle: Path | None = None,
        embedding: Path | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> "Searcher":
        """Opens an index and the bundles that made it, which it remembers; name those that were moved.

        Raises:
            JsfError: the index is damaged, or a bundle is not there or is another one than made it.
        """
        collection = Collection.open(folder)
        first, second = collection.contents.embedding, collection.contents.matcher
        if second:
            embedding = embedding or _found(first, folder)
            models = Models.load(bundle or _found(second, folder), embedding, device, precision)
        else:
            models = Models.load(bundle or embedding or _found(first, folder), None, device, precision)
        return cls(collection, models)

    def search(self, query: str, top: int = 10, rerank: int = 100) -> list[Hit]:
        """The videos that fit a sentence best, best first.

        Args:
            query: a sentence; unknown words are dropped.
            top: how many are returned, of those that were reranked.
            rerank: how many the first stage hands to the second.

        Raises:
            JsfError: none of the words is known, or the index is damaged.
        """
        matcher = self.models.matcher
        vector, words = self.models.encode_query(query)
        found = self.collection.nearest(vector, rerank if matcher else top)
        rows, cosines = found[0][0], found[1][0]
        scores = cosines
        if matcher and words:
            videos = Encoded(*self.collection.frames(rows), left_padded=matcher.bundle.manifest.left_padded)
            scores = matcher.match_all(videos, words)[:, 0]
        best = np.argsort(-scores, kind="stable")[:top]
        ids, sources = self.collection.ids, self.collection.sources
        return [Hit(ids[rows[i]], sources[rows[i]], float(scores[i]), float(cosines[i])) for i in best]

    def rank_texts(self, video: FeatureSequence, texts: Sequence[str], top: int = 10, rerank: int = 100) -> list[Hit]:
        """The texts that fit a video best, best first: the nearest to it, ranked again by the second stage.

        Raises:
            JsfError: the features are not what the models take, or there are no texts.
        """
        vectors = self.models.embed_texts(texts)
        matcher = self.models.matcher
        found = nearest(vectors, self.models.encode([video]).embeddings, rerank if matcher else top)
        rows, cosines = found[0][0], found[1][0]
        scores = matcher.score_matrix([video], [texts[row] for row in rows])[0] if matcher else cosines
        best = np.argsort(-scores, kind="stable")[:top]
        return [Hit(texts[rows[i]], "", float(scores[i]), float(cosines[i])) for i in best]


def _found(bundle: BundleRecord | None, folder: Path) -> Path | None:
    """Where an index says that a bundle is."""
    return folder / bundle.path if bundle else None
