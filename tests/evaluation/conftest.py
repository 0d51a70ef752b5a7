from pathlib import Path

import numpy as np
import pytest

from jsf.data.clips import Clips
from jsf.data.store import FeatureStore
from jsf.data.vocabulary import Vocabulary


class MemoryStore(FeatureStore):
    """Features of width 1: a video's only number is its place in `ids`."""

    def __init__(self, ids, extractor="", frames=3):
        self.path, self.extractor = Path("memory"), extractor
        self._features = {video_id: np.full((frames, 1), i, np.float32) for i, video_id in enumerate(ids)}

    def ids(self):
        return list(self._features)

    def read(self, video_id):
        return self._features[video_id]


class ColourStore(MemoryStore):
    """Videos as words, one a frame: {"v": "red red blue"}; a frame is the word's row of the unit matrix."""

    def __init__(self, videos, extractor=""):
        self.path, self.extractor, self.reads = Path("colours"), extractor, []
        self._features = {video_id: _one_hot(words) for video_id, words in videos.items()}

    def read(self, video_id):
        self.reads.append(video_id)
        return super().read(video_id)


class ToyEmbedder:
    """Embeds a video as the sum of its clips' mean frames, a text as the sum of its sentences' mean words.

    It knows four words, and ids from 1 are their axes; a text without one lies on an axis of its own. `seen` keeps what
    each call was given.
    """

    task, description, hierarchical, width = "embedding", "a toy", True, 5
    vocabulary = Vocabulary(("red", "green", "blue", "dark"))

    def __init__(self, extractor=""):
        self.extractor, self.seen, self.texts = extractor, [], []

    def embed_videos(self, videos):
        self.seen.append(list(videos))
        clips = [video.clips if isinstance(video, Clips) else [video] for video in videos]
        return _unit([sum(clip.mean(0) for clip in each) for each in clips])

    def embed_texts(self, texts):
        self.texts.append(list(texts))
        sentences = [[text] if isinstance(text, str) else text for text in texts]
        return _unit([sum(_one_hot(sentence).mean(0) for sentence in each) for each in sentences])


def _one_hot(text):
    known = ToyEmbedder.vocabulary.ids
    return np.eye(5, dtype=np.float32)[[known[word] for word in text.split() if word in known] or [0]]


def _unit(vectors):
    vectors = np.array(vectors, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(scope="session")
def memory_store():
    """(ids, extractor="", frames=3) -> a feature store."""
    return MemoryStore


@pytest.fixture(scope="session")
def colour_store():
    """({video id: words}, extractor="") -> a feature store that notes what it reads."""
    return ColourStore


@pytest.fixture(scope="session")
def toy_embedder():
    """(extractor="") -> an embedder on the features of a colour store."""
    return ToyEmbedder
