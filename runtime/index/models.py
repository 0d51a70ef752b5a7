"""The models of an index: what embeds videos and texts for its first stage, and what matches them in its second."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.identity import full_precision
from jsf.data.sequence import FeatureSequence
from jsf.data.task_names import FILLS
from jsf.runtime.bundle import Bundle
from jsf.runtime.embedder import Embedder
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.records import BundleRecord
from jsf.runtime.index.segment import Encodings
from jsf.runtime.load import load_scorer
from jsf.runtime.matching import Encoded
from jsf.runtime.scorer import Scorer


class Models:
    """An embedding, a matcher, or both; without an embedding the matcher's own encodings are pooled.

    Attributes:
        embedder: of the first stage.
        matcher: of the second stage.
        description: what runs where.
    """

    def __init__(self, matcher: Scorer | None, embedder: Embedder | None) -> None:
        self.matcher, self.embedder = matcher, embedder
        self._all = [model for model in (embedder, matcher) if model]
        if matcher and matcher.task == FILLS:
            raise JsfError(
                f"{matcher.bundle.root} is a model for {FILLS}: it scores words, not sentences.",
                "Search with a model for retrieval: jsf train --task retrieval ...",
            )
        if matcher and embedder:
            _check_alike(matcher, embedder)
        self.description = "; ".join(dict.fromkeys(model.description for model in self._all))

    @classmethod
    def load(
        cls, bundle: Path | None, embedding: Path | None, device: str = "auto", precision: str = "auto"
    ) -> "Models":
        """Opens the bundles that make an index.

        Args:
            bundle: JSFusion, or an embedding to search by that alone; None for `$JSF_BUNDLE` or `./bundle`.
            embedding: HSE or FSE for the first stage, beside JSFusion.
            device: as of `load_graphs`.
            precision: of `bundle`'s graphs; `embedding`'s, which costs little, is chosen.

        Raises:
            JsfError: a bundle is not valid or not of its kind, or they take different features.
        """
        first = load_scorer(bundle, device, precision)
        if not embedding:
            return cls(first, None) if isinstance(first, Scorer) else cls(None, first)
        if isinstance(first, Embedder):
            first.bundle.check_compares()  # which says that it does not
        assert isinstance(first, Scorer)
        return cls(first, Embedder.load(embedding, device))

    @property
    def first_stage(self) -> str:
        """What the first stage is, as shown to the user."""
        return self.embedder.bundle.manifest.model if self.embedder else "pooled jsfusion"

    @property
    def second_stage(self) -> str | None:
        """What the second stage is; None where there is none."""
        return self.matcher.bundle.manifest.model if self.matcher else None

    @property
    def extracting(self) -> Bundle:
        """The bundle whose extractor reads video files: the first that has one."""
        bundles = [model.bundle for model in self._all]
        return next((bundle for bundle in bundles if bundle.extractor.is_dir()), bundles[0])

    def contents(self, folder: Path) -> Contents:
        """Of an index that these models make, still without videos."""
        matcher, embedder = self.matcher, self.embedder
        return Contents(
            embedding=_record(embedder.bundle, folder) if embedder else None,
            matcher=_record(matcher.bundle, folder) if matcher else None,
        )

    def check(self, video: FeatureSequence) -> None:
        """Raises JsfError where a video's features are not what every model takes."""
        for model in self._all:
            model.features(video)

    def encode(self, videos: Sequence[FeatureSequence]) -> Encodings:
        """Videos as an index keeps them.

        Raises:
            JsfError: their features are not what the models take, or encoded frames are too great for float16.
        """
        if not self.matcher:
            return Encodings(self._embed(videos))
        encoded = self.matcher.encode_videos(videos)
        with np.errstate(over="ignore"):
            frames = encoded.values.astype(np.float16)
        if not np.isfinite(frames).all():
            raise JsfError("encoded frames are greater than float16 holds: this model cannot make an index.")
        return Encodings(self._embed(videos) if self.embedder else pool(encoded), frames, encoded.lengths)

    def embed_texts(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Sentences -> [S, E], of unit length, in the space of the videos' embeddings."""
        if self.embedder:
            return self.embedder.embed_texts(texts)
        assert self.matcher
        return pool(self.matcher.encode_sentences(texts))

    def encode_query(self, query: str) -> tuple[npt.NDArray[np.float32], Encoded | None]:
        """A sentence for both stages: its embedding [1, E], and its encoded words, None without a second stage.

        Raises:
            JsfError: a model knows none of its words.
        """
        for model in self._all:
            model.vocabulary.encode(query)
        encoded = self.matcher.encode_sentences([query]) if self.matcher else None
        if self.embedder:
            return self.embedder.embed_texts([query]), encoded
        assert encoded
        return pool(encoded), encoded

    def unknown(self, sentence: str) -> list[str]:
        """The words that a model does not know."""
        return list(dict.fromkeys(word for model in self._all for word in model.vocabulary.unknown(sentence)))

    def _embed(self, videos: Sequence[FeatureSequence]) -> npt.NDArray[np.float32]:
        assert self.embedder
        return self.embedder.embed_videos(videos)


def pool(encoded: Encoded) -> npt.NDArray[np.float32]:
    """The mean of the valid steps of encoded videos or sentences, of unit length: [B, J]."""
    steps, lengths = np.arange(encoded.values.shape[1]), encoded.lengths[:, None]
    valid = steps >= len(steps) - lengths if encoded.left_padded else steps < lengths
    sums = np.einsum("bnj,bn->bj", encoded.values.astype(np.float32), valid.astype(np.float32))
    norms = np.linalg.norm(sums, axis=1, keepdims=True)
    found: npt.NDArray[np.float32] = sums / np.maximum(norms, np.finfo(np.float32).tiny)
    return found


def _record(bundle: Bundle, folder: Path) -> BundleRecord:
    """A bundle as an index names it; where it was named by a relative path, that starts at the index."""
    manifest, root = bundle.manifest, bundle.root
    path = str(root) if root.is_absolute() else os.path.relpath(root, folder)
    hashes = {**manifest.hashes["fp32"], "vocabulary": manifest.vocabulary}
    return BundleRecord(manifest.model, path, manifest.joint_width, hashes)


def _check_alike(matcher: Scorer, embedder: Embedder) -> None:
    """Raises JsfError where two models take different features: an index has one kind."""
    for name, ours, theirs in (
        ("features of", full_precision(matcher.extractor), full_precision(embedder.extractor)),
        ("features as wide as", matcher.feature_width, embedder.feature_width),
    ):
        if ours and theirs and ours != theirs:
            raise JsfError(
                f"{matcher.bundle.root} takes {name} {ours}, and {embedder.bundle.root} takes {name} {theirs}.",
                "Train both on the same features.",
            )
