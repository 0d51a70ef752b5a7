"""Features that are read once and kept for the epochs that follow, while there is room."""

from typing import Any

import numpy.typing as npt

from jsf.data.store import FeatureStore

KEPT_BYTES = 2 << 30
"""Features that are kept in memory: all of MSR-VTT's in float16. Those beyond are read again each epoch."""


class KeptFeatures:
    """A store that remembers."""

    def __init__(self, store: FeatureStore) -> None:
        self.store = store
        self._kept: dict[str, npt.NDArray[Any]] = {}
        self._room = KEPT_BYTES

    def read(self, video_id: str) -> npt.NDArray[Any]:
        """A video's features [T, D]; raises JsfError as `FeatureStore.read`."""
        features = self._kept.get(video_id)
        if features is None:
            features = self.store.read(video_id)
            if features.nbytes <= self._room:
                self._kept[video_id] = features
                self._room -= features.nbytes
        return features
