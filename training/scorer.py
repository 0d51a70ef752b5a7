"""Scoring with a checkpoint, for validation and for `jsf evaluate --ckpt`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from jsf.data.errors import JsfError
from jsf.data.lengths import crop_length
from jsf.data.progress import track
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion, crop
from jsf.runtime.features import model_features

ENCODE_BATCH = 32
MATCH_CELLS = 25_600
"""Cells of the joint tensors that are matched at once: at full size a cell takes a few kilobytes per layer."""

Network = TypeVar("Network", bound=nn.Module)
Index = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class _Encoded:
    values: Tensor
    lengths: npt.NDArray[np.int32]
    blanks: Tensor | None = None


class CheckpointScorer:
    """A JSFusion model with its vocabulary, on the device where its weights are.

    Attributes:
        task: what it was trained for.
        vocabulary: the words that it knows.
        description: what runs where.
        extractor: what made the features that the model was trained on; "" where unknown.
    """

    def __init__(self, model: JSFusion, vocabulary: Vocabulary, extractor: str = "") -> None:
        self.model, self.vocabulary, self.extractor = model, vocabulary, extractor
        self.task: str = model.config.task
        self.feature_width = model.config.feature_width
        self.device, self.description = where(model)

    @classmethod
    def load(cls, path: Path, device: str = "auto", precision: str = "auto") -> "CheckpointScorer":
        """Loads `best.pt`; "auto" is CUDA where there is one.

        Raises:
            JsfError: the checkpoint cannot be read, or the device or the precision is not there.
        """
        checkpoint = Checkpoint.load(path)
        model = on_device(checkpoint.jsfusion, path, device, precision)
        return cls(model, checkpoint.vocabulary, checkpoint.extractor)

    def score_matrix(self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> scores [V, S]; the model is in eval mode meanwhile.

        Raises:
            JsfError: the features are not of the model's width, or the model fills blanks.
        """
        rows, columns = np.divmod(np.arange(len(videos) * len(sentences)), len(sentences))
        return self.match_pairs(videos, sentences, rows, columns).reshape(len(videos), len(sentences))

    def match_pairs(
        self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str], rows: Index, columns: Index
    ) -> npt.NDArray[np.float32]:
        """Scores of video `rows[p]` with sentence `columns[p]`: [P].

        Sentences that are the same to the model are scored once.

        Raises:
            JsfError: as `score_matrix`.
        """
        if self.model.config.fills_blanks:
            raise JsfError("a model for fill-in-the-blank scores words, not sentences.")
        distinct, same = self.vocabulary.distinct(sentences)
        shape = len(videos), len(distinct)
        pairs, inverse = np.unique(np.ravel_multi_index((rows, same[columns]), shape), return_inverse=True)
        with scoring(self.model):
            encoded = self._sentences(*self.vocabulary.encode_batch(distinct))
            return self._match(self._videos(videos), encoded, *np.unravel_index(pairs, shape))[inverse]

    def score_words(
        self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str], rows: Index, columns: Index
    ) -> npt.NDArray[np.float32]:
        """Scores of every word for the blank of sentence `columns[p]` in video `rows[p]`: [P, |V|].

        Raises:
            JsfError: the features are not of the model's width, a sentence has no blank, or the model fills none.
        """
        if not self.model.config.fills_blanks:
            raise JsfError(f"a model for {self.task} does not fill blanks.")
        with scoring(self.model):
            encoded = self._sentences(*self.vocabulary.encode_blanks(sentences))
            return self._match(self._videos(videos), encoded, rows, columns)

    def _videos(self, videos: Sequence[npt.NDArray[Any]]) -> _Encoded:
        config = self.model.config
        found = [model_features(video, self.extractor, config.feature_width) for video in videos]
        values, lengths = pad(found, left=config.left_padded)
        return _Encoded(self._encode(self.model.frame_encoder, values, lengths), lengths)

    def _sentences(
        self, words: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], blanks: npt.NDArray[np.int32] | None = None
    ) -> _Encoded:
        values = self._encode(self.model.word_encoder, words, lengths)
        return _Encoded(values, lengths, None if blanks is None else torch.from_numpy(blanks).to(self.device))

    def _encode(
        self, encoder: Callable[[Tensor, Tensor], Tensor], values: npt.NDArray[Any], lengths: npt.NDArray[np.int32]
    ) -> Tensor:
        batches = [slice(i, i + ENCODE_BATCH) for i in range(0, len(values), ENCODE_BATCH)]
        return torch.cat([encoder(self._tensor(values[i]), self._tensor(lengths[i])) for i in batches])

    def _match(self, videos: _Encoded, sentences: _Encoded, rows: Index, columns: Index) -> npt.NDArray[np.float32]:
        """Matches pairs of like lengths together, each cropped to what they need."""
        left = self.model.config.left_padded
        order = np.lexsort((sentences.lengths[columns], videos.lengths[rows]))
        cells = crop_length(videos.lengths, left) * crop_length(sentences.lengths)
        size = max(1, MATCH_CELLS // cells)
        found = []
        for start in track(range(0, len(order), size), "matching", -(-len(order) // size)):
            v, s = rows[order[start : start + size]], columns[order[start : start + size]]
            video_ids, v = np.unique(v, return_inverse=True)
            sentence_ids, s = np.unique(s, return_inverse=True)
            frame_lengths, word_lengths = map(
                self._tensor, (videos.lengths[video_ids], sentences.lengths[sentence_ids])
            )
            scores = self.model.matcher(
                crop(videos.values[video_ids], frame_lengths, left),
                frame_lengths,
                crop(sentences.values[sentence_ids], word_lengths),
                word_lengths,
                self._tensor(v),
                self._tensor(s),
                None if sentences.blanks is None else sentences.blanks[sentence_ids],
            )
            found.append(scores.float().cpu().numpy())
        scores = np.concatenate(found)
        result = np.empty_like(scores)
        result[order] = scores
        return result

    def _tensor(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values).to(self.device)


@contextmanager
def scoring(model: nn.Module) -> Iterator[None]:
    """Eval mode, without gradients, and in training mode again where it was."""
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(was_training)


def where(model: nn.Module) -> tuple[torch.device, str]:
    """The device that a model's weights are on, and what runs there, as printed to the user."""
    device = next(model.parameters()).device
    return device, f"PyTorch {torch.__version__} on {device.type}, fp32"


def on_device(model: Network, path: Path, device: str, precision: str) -> Network:
    """A checkpoint's model on a device; "auto" is CUDA where there is one.

    Raises:
        JsfError: the device or the precision is not there.
    """
    if precision not in ("auto", "fp32"):
        raise JsfError(f"a checkpoint is scored in fp32, not {precision}.", f"Export it: jsf export --ckpt {path}")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:  # an unknown device, or a PyTorch built without it
        raise JsfError(f"PyTorch has no device '{device}' here: {str(error).splitlines()[0]}") from error
