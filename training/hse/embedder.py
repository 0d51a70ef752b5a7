"""Embedding with a checkpoint, for validation and for `jsf evaluate --ckpt`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from torch import nn

from jsf.data.levels import Levels
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.hse import HSE
from jsf.runtime.embedding import EmbeddingScorer
from jsf.training.hse.cropped import cropped
from jsf.training.scorer import on_device, scoring, where


class CheckpointEmbedder(EmbeddingScorer):
    """Embeds with an HSE or FSE model, on the device where its weights are."""

    def __init__(self, model: HSE, vocabulary: Vocabulary, extractor: str = "") -> None:
        self.model, self.vocabulary, self.extractor = model, vocabulary, extractor
        self.feature_width, self.width = model.config.feature_width, model.config.hidden
        self.limits = model.config.limits
        self.device, self.description = where(model)

    @classmethod
    def load(cls, path: Path, device: str = "auto", precision: str = "auto") -> "CheckpointEmbedder":
        """Loads `best.pt`; "auto" is CUDA where there is one.

        Raises:
            JsfError: the checkpoint cannot be read, or the device or the precision is not there.
        """
        checkpoint = Checkpoint.load(path)
        return cls(on_device(checkpoint.hse, path, device, precision), checkpoint.vocabulary, checkpoint.extractor)

    def _videos(self, levels: Levels) -> npt.NDArray[np.float32]:
        return self._run(self.model.video_encoder, levels)

    def _texts(self, levels: Levels) -> npt.NDArray[np.float32]:
        return self._run(self.model.text_encoder, levels)

    def _run(self, encoder: nn.Module, levels: Levels) -> npt.NDArray[np.float32]:
        with scoring(self.model):
            embedded = encoder(*(array.to(self.device) for array in cropped(levels)))
        found: npt.NDArray[np.float32] = embedded.float().cpu().numpy()
        return found
