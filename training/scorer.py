"""Scores of a PyTorch model, for validation and for evaluating a checkpoint without exporting it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion, crop

ENCODE_BATCH = 64
MATCH_CELLS = 1 << 17
"""Frame-word cells scored at once: a few hundred megabytes at the paper's widths."""


class CheckpointScorer:
    """Scores all pairs of videos and sentences with a model, on the device where its weights are.

    Attributes:
        description: what runs where.
        extractor: what made the features that the model was trained on; "" where unknown.
    """

    def __init__(self, model: JSFusion, vocabulary: Vocabulary, extractor: str = "") -> None:
        self.model, self.vocabulary, self.extractor = model, vocabulary, extractor
        self.description = f"PyTorch {torch.__version__} on {next(model.parameters()).device.type}, fp32"

    @classmethod
    def load(cls, path: Path, device: str = "auto", precision: str = "auto") -> "CheckpointScorer":
        """Loads `best.pt`; "auto" is CUDA where there is one.

        Raises:
            JsfError: the checkpoint cannot be read, or the device or the precision is not there.
        """
        if precision not in ("auto", "fp32"):
            raise JsfError(
                f"a checkpoint is scored in fp32, not {precision}.", "Export it: jsf export --ckpt " + str(path)
            )
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        checkpoint = Checkpoint.load(path)
        try:
            return cls(checkpoint.model.to(device), checkpoint.vocabulary, checkpoint.extractor)
        except (RuntimeError, AssertionError) as error:  # an unknown device, or a PyTorch built without it
            raise JsfError(f"PyTorch has no device '{device}' here: {str(error).splitlines()[0]}") from error

    @torch.inference_mode()
    def score_matrix(self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> scores [V, S]; the model is in eval mode meanwhile.

        Raises:
            JsfError: the features are not of the model's width.
        """
        expected = self.model.config.feature_width
        if wrong := {video.shape[1] for video in videos} - {expected}:
            raise JsfError(f"features are {wrong} wide; the model takes {expected}.", "Extract them as for training.")
        distinct, columns = self.vocabulary.distinct(sentences)
        was_training = self.model.training
        self.model.eval()
        device = next(self.model.parameters()).device
        frames, frame_lengths = self._encode(self.model.frame_encoder, *pad(list(videos)))
        words, word_lengths = self._encode(self.model.word_encoder, *self.vocabulary.encode_batch(distinct))
        frames, words = crop(frames, frame_lengths), crop(words, word_lengths)
        pairs = torch.cartesian_prod(torch.arange(len(videos)), torch.arange(len(distinct))).to(device)
        chunks = torch.split(pairs, max(1, MATCH_CELLS // (frames.shape[1] * words.shape[1])))
        scores = [
            self.model.matcher(frames, frame_lengths, words, word_lengths, *chunk.T)
            for chunk in track(chunks, "matching", len(chunks))
        ]
        self.model.train(was_training)
        return torch.cat(scores).view(len(videos), len(distinct)).float().cpu().numpy()[:, columns]

    def _encode(
        self, encoder: torch.nn.Module, values: npt.NDArray[Any], lengths: npt.NDArray[np.int32]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        device = next(encoder.parameters()).device
        batches = [
            (
                torch.from_numpy(values[i : i + ENCODE_BATCH]).to(device),
                torch.from_numpy(lengths[i : i + ENCODE_BATCH]).to(device),
            )
            for i in range(0, len(values), ENCODE_BATCH)
        ]
        return torch.cat([encoder(*batch) for batch in batches]), torch.from_numpy(lengths).to(device)
