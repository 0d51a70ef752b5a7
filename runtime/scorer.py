"""The scorer: videos and sentences in, scores out, from a bundle and without PyTorch."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import FeatureSequence, check_features, pad, sample_steps
from jsf.data.store import read_features
from jsf.runtime.backends.base import Graph
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.runtime.graphs import load_graphs
from jsf.runtime.matching import Encoded, match

Video: TypeAlias = FeatureSequence | npt.NDArray[Any] | Path | str
"""A video's features: in memory, [T, D] or a `FeatureSequence`, or as `video.npz` or `store.h5#video_id`."""

ENCODE_BATCH = 32

EXTRACT_AGAIN = "Extract it with the bundle's own: jsf extract VIDEO --bundle BUNDLE -o OUT.npz"


class Scorer:
    """Scores how well sentences fit videos; bigger is better. Scores are raw logits, so ties are real ties.

    Attributes:
        bundle: what it was loaded from.
        description: what runs where.
        extractor: what made the features that the model was trained on; "" where unknown.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto") -> None:
        self.bundle = bundle
        self._graphs = load_graphs(bundle, device, precision)
        self.description = self._graphs.description
        self.extractor = bundle.manifest.extractor

    @classmethod
    def load(cls, bundle: Path | str | None = None, device: str = "auto", precision: str = "auto") -> "Scorer":
        """Opens a bundle folder; `$JSF_BUNDLE` or `./bundle` where none is named.

        Raises:
            JsfError: it is not a valid bundle, or the device or the precision is not there.
        """
        return cls(Bundle.open(Path(bundle) if bundle else default_bundle()), device, precision)

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
        videos = {_key(video): video for video, _ in pairs}
        sentences = dict.fromkeys(sentence for _, sentence in pairs)
        rows, columns = ({key: i for i, key in enumerate(distinct)} for distinct in (videos, sentences))
        for sentence in sentences:
            self.bundle.vocabulary.encode(sentence)
        return match(
            self._graphs.matcher,
            self.encode_videos(list(videos.values())),
            self.encode_sentences(list(sentences)),
            np.array([rows[_key(video)] for video, _ in pairs]),
            np.array([columns[sentence] for _, sentence in pairs]),
        )

    def score_matrix(self, videos: Sequence[Video], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Scores of every video with every sentence: [V, S]. Sentences without a known word all score the same."""
        distinct, columns = self.bundle.vocabulary.distinct(sentences)
        return self.match_all(self.encode_videos(videos), self.encode_sentences(distinct))[:, columns]

    def match_all(self, videos: Encoded, sentences: Encoded) -> npt.NDArray[np.float32]:
        """Scores of every encoded video with every encoded sentence: [V, S]."""
        rows, columns = np.divmod(np.arange(len(videos) * len(sentences)), len(sentences))
        return match(self._graphs.matcher, videos, sentences, rows, columns).reshape(len(videos), len(sentences))

    def encode_videos(self, videos: Sequence[Video]) -> Encoded:
        """Encodes videos, read a batch at a time.

        Raises:
            JsfError: the features are invalid, of another width, or of another extractor than the model was trained on.
        """
        batches = (pad([self.features(video) for video in batch]) for batch in _batches(videos, "encoding videos"))
        return self._encode(self._graphs.frame_encoder, "features", batches)

    def encode_sentences(self, sentences: Sequence[str]) -> Encoded:
        """Encodes sentences; unknown words are dropped."""
        batches = (self.bundle.vocabulary.encode_batch(batch) for batch in _batches(sentences, "encoding sentences"))
        return self._encode(self._graphs.word_encoder, "words", batches)

    def _encode(self, encoder: Graph, name: str, batches: Iterator[tuple[Any, npt.NDArray[np.int32]]]) -> Encoded:
        values, lengths = [], []
        for batch, batch_lengths in batches:
            outputs = encoder.run({name: batch, "lengths": batch_lengths})
            values.append(outputs[encoder.outputs[0].name])
            lengths.append(batch_lengths)
        if not values:
            raise JsfError("there is nothing to score: no video or no sentence was given.")
        encoded = Encoded(np.concatenate(values), np.concatenate(lengths))
        encoded.values.flags.writeable = False  # a backend may keep on its device what cannot change
        return encoded

    def features(self, video: Video) -> npt.NDArray[Any]:
        """A video's features [T, D], T <= 40, read where a file is named, and checked to be what the model takes.

        Raises:
            JsfError: the features are invalid, of another width, or of another extractor than the model was trained on.
        """
        if isinstance(video, (str, Path)):
            video = read_features(str(video))
        manifest = self.bundle.manifest
        if isinstance(video, FeatureSequence):
            if manifest.extractor and video.extractor and video.extractor != manifest.extractor:
                raise JsfError(
                    f"{video.source or 'the video'} was extracted by '{video.extractor}'; "
                    f"this bundle was trained on features of '{manifest.extractor}'.",
                    EXTRACT_AGAIN,
                )
            source, features = video.source, video.features
        else:
            source, features = "the video", video
            check_features(features, source)
        if features.shape[1] != manifest.feature_width:
            raise JsfError(
                f"{source or 'the video'} has features {features.shape[1]} wide; this bundle takes "
                f"{manifest.feature_width}.",
                EXTRACT_AGAIN,
            )
        return features[sample_steps(len(features))]  # many long videos would fill the memory


def _key(video: Video) -> object:
    return str(video) if isinstance(video, (str, Path)) else id(video)


def _batches(items: Sequence[Any], label: str) -> Iterator[Sequence[Any]]:
    starts = range(0, len(items), ENCODE_BATCH)
    for start in track(starts, label, len(starts)):
        yield items[start : start + ENCODE_BATCH]
