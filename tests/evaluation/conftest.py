from pathlib import Path

import numpy as np
import pytest

from jsf.data.store import FeatureStore


class MemoryStore(FeatureStore):
    """Features of width 1: a video's only number is its place in `ids`."""

    def __init__(self, ids, extractor="", frames=3):
        self.path, self.extractor = Path("memory"), extractor
        self._features = {video_id: np.full((frames, 1), i, np.float32) for i, video_id in enumerate(ids)}

    def ids(self):
        return list(self._features)

    def read(self, video_id):
        return self._features[video_id]


@pytest.fixture(scope="session")
def memory_store():
    """(ids, extractor="", frames=3) -> a feature store."""
    return MemoryStore
