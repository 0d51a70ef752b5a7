"""The scorer: videos and sentences in, scores out, from a bundle and without PyTorch."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.ahead import ahead
from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import pad, sample_steps
from jsf.data.task_names import FILLS
from jsf.runtime.bundle import MATCHER, Bundle, default_bundle
from jsf.runtime.features import Video, content, key, model_features
from jsf.runtime.graphs import Graphs, load_graphs
from jsf.runtime.kept import Kept
from jsf.runtime.matching import Encoded, match

ENCODE_BATCH = 32

INPUTS = {"frame_encoder": ("features", "videos"), "word_encoder": ("words", "sentences")}
"""Encoder -> its input beside the lengths, and what it encodes."""


class Scorer:
    """Scores how well sentences fit videos; bigger is better. Scores are raw logits, so ties are real ties.

    Attributes:
        bundle: what it was loaded from.
        task: "retrieval", "multiple-choice" or "fill-in-the-blank"; the last scores words, the others pairs.
        vocabulary: the words that the model knows.
        description: what runs where.
        extractor: what made the features that the model was trained on; "" where unknown.
    """

    def __init__(self, bundle: Bundle, graphs: Graphs) -> None:
        bundle.check_compares()
        self.bundle, self.task, self.vocabulary = bundle, bundle.manifest.task, bundle.vocabulary
        self._graphs, self.description, self._kept = graphs, graphs.description, Kept()
        self.extractor, self.feature_width = bundle.manifest.extractor, bundle.manifest.feature_width

    @classmethod
    def load(cls, bundle: Path | str | None = None, device: str = "auto", precision: str = "auto") -> "Scorer":
        """Opens a bundle folder; `$JSF_BUNDLE` or `./bundle` where none is named.

        Raises:
            JsfError: it is not a valid bundle, or the device or the precision is not there.
        """
        opened = Bundle.open(Path(bundle) if bundle else default_bundle())
        opened.check_compares()
        return cls(opened, load_graphs(opened, device, precision))

    def score(self, video: Video, sentence: str) -> float:
        """The score of one pair.

        Raises:
            JsfError: the features are invalid or of another extractor, or the sentence has no known word.
        """
        return float(self.score_pairs([(video, sentence)])[0])

    def score_pairs(self, pairs: Sequence[tuple[Video, str]]) -> npt.NDArray[np.float32]:
        """Scores of (video, sentence) pairs: [P]. Each distinct video and sentence is encoded once.

        Raises:
            JsfError: as `score`.
        """
        videos = {key(video): video for video, _ in pairs}
        sentences = dict.fromkeys(sentence for _, sentence in pairs)
        rows, columns = ({key: i for i, key in enumerate(distinct)} for distinct in (videos, sentences))
        for sentence in sentences:
            self.vocabulary.encode(sentence)
        return self.match_pairs(
            list(videos.values()),
            list(sentences),
            np.array([rows[key(video)] for video, _ in pairs]),
            np.array([columns[sentence] for _, sentence in pairs]),
        )

    def match_pairs(
        self,
        videos: Sequence[Video],
        sentences: Sequence[str],
        rows: npt.NDArray[np.integer[Any]],
        columns: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float32]:
        """Scores of video `rows[p]` with sentence `columns[p]`: [P].

        Pairs that are the same to the model are scored once; sentences without a known word all score the same.

        Raises:
            JsfError: the features are invalid, or the model fills blanks.
        """
        distinct, same = self.vocabulary.distinct(sentences)
        encoded = self.encode_videos(videos), self.encode_sentences(distinct)
        shape = len(videos), len(distinct)
        pairs, inverse = np.unique(np.ravel_multi_index((rows, same[columns]), shape), return_inverse=True)
        return match(self._graphs[MATCHER], *encoded, *np.unravel_index(pairs, shape))[inverse]

    def score_matrix(self, videos: Sequence[Video], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Scores of every video with every sentence: [V, S]. Sentences without a known word all score the same."""
        distinct, columns = self.vocabulary.distinct(sentences)
        return self.match_all(self.encode_videos(videos), self.encode_sentences(distinct))[:, columns]

    def match_all(self, videos: Encoded, sentences: Encoded) -> npt.NDArray[np.float32]:
        """Scores of every encoded video with every encoded sentence: [V, S]."""
        rows, columns = np.divmod(np.arange(len(videos) * len(sentences)), len(sentences))
        return match(self._graphs[MATCHER], videos, sentences, rows, columns).reshape(len(videos), len(sentences))

    def score_words(
        self,
        videos: Sequence[Video],
        sentences: Sequence[str],
        rows: npt.NDArray[np.integer[Any]],
        columns: npt.NDArray[np.integer[Any]],
    ) -> npt.NDArray[np.float32]:
        """Scores of every word of the vocabulary for the blank of sentence `columns[p]` in video `rows[p]`: [P, |V|].

        Raises:
            JsfError: the features are invalid, a sentence has no blank, or the model does not fill blanks.
        """
        if self.task != FILLS:
            raise JsfError(
                f"{self.bundle.root} is a model for {self.task}: it does not fill blanks.",
                f"Train one that does: jsf train --task {FILLS} ...",
            )
        words, lengths, blanks = self.vocabulary.encode_blanks(sentences)
        encoded = self._encode("word_encoder", sentences, lambda places: (words[places], lengths[places]))
        encoded = replace(encoded, blanks=blanks)
        return match(self._graphs[MATCHER], self.encode_videos(videos), encoded, rows, columns)

    def fill(self, video: Video, sentence: str, top: int = 5) -> list[tuple[str, float]]:
        """The most probable words for the sentence's blank `_____`, with their probabilities.

        Raises:
            JsfError: as `score_words`.
        """
        first = np.zeros(1, np.int32)
        return self.vocabulary.most_probable(self.score_words([video], [sentence], first, first)[0], top)

    def encode_videos(self, videos: Sequence[Video]) -> Encoded:
        """Encodes videos, read a batch at a time; one that was encoded before is not read again.

        Raises:
            JsfError: the features are invalid, of another width, or of another extractor than the model was trained on.
        """
        left = self.bundle.manifest.left_padded
        encoded = self._encode(
            "frame_encoder",
            [content(video) for video in videos],
            lambda places: pad([self.features(videos[place]) for place in places], left=left),
        )
        return replace(encoded, left_padded=left)

    def encode_sentences(self, sentences: Sequence[str]) -> Encoded:
        """Encodes sentences; unknown words are dropped.

        Raises:
            JsfError: the model fills blanks, and does not score sentences.
        """
        if self.task == FILLS:
            raise JsfError(
                f"{self.bundle.root} is a model for {FILLS}: it scores words, not sentences.",
                'Ask it for a word: jsf fill VIDEO "He shuts the _____"',
            )
        encode = self.vocabulary.encode_batch
        return self._encode("word_encoder", sentences, lambda places: encode([sentences[place] for place in places]))

    def features(self, video: Video) -> npt.NDArray[Any]:
        """A video's features [T, D], T <= 40: many long videos would fill the memory; raises as `model_features`."""
        manifest = self.bundle.manifest
        features = model_features(video, manifest.extractor, manifest.feature_width)
        return features[sample_steps(len(features))]

    def _encode(
        self,
        name: str,
        keys: Sequence[Hashable],
        read: Callable[[list[int]], tuple[npt.NDArray[Any], npt.NDArray[np.int32]]],
    ) -> Encoded:
        """Encodes those of `keys` that are not kept; `read` has a batch of inputs and lengths for some places."""
        if not keys:
            raise JsfError("there is nothing to score: no video or no sentence was given.")
        encoder, (source, what) = self._graphs[name], INPUTS[name]

        def encode(places: list[int]) -> tuple[npt.NDArray[Any], ...]:
            parts = [places[start : start + ENCODE_BATCH] for start in range(0, len(places), ENCODE_BATCH)]
            values, all_lengths = [], []
            for batch, lengths in track(ahead(read(part) for part in parts), f"encoding {what}", len(parts)):
                values.append(encoder.run({source: batch, "lengths": lengths})[encoder.outputs[0].name])
                all_lengths.append(lengths)
            return np.concatenate(values), np.concatenate(all_lengths)

        values, lengths = self._kept.rows([(name, key) for key in keys], encode)
        values.flags.writeable = False  # a backend may keep on its device what cannot change
        return Encoded(values, lengths)
