"""The order-blind control: what can be told from mean-pooled frames and a bag of words.

It is trained on batches made as the matcher's are, as often, and with the same loss over all of their pairs. Two
sentences of the same words are one to it, and so are two videos of the same frames: on the order of scenes it can do no
better than a coin.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from jsf.data.captions import read_captions
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.vocabulary import Vocabulary
from jsf.models.presets import preset as model_preset
from jsf.training.batches import ShuffledBatches
from jsf.training.recipe import recipe
from jsf.training.retrieval import RetrievalExamples

WIDTH = 128


class OrderBlind(nn.Module):
    """A dense network over the mean of the frames, another over the counts of the words, and their dot product."""

    task, description, extractor = "retrieval", "the order-blind control, on PyTorch", ""

    def __init__(self, feature_width: int, vocabulary: Vocabulary) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.video = nn.Sequential(nn.BatchNorm1d(feature_width), nn.Linear(feature_width, WIDTH), *_head())
        self.sentence = nn.Sequential(nn.Linear(len(vocabulary), WIDTH), *_head())

    def forward(self, pooled: Tensor, bags: Tensor) -> Tensor:
        """Mean frames [V, D] and word counts [S, |V|] -> scores [V, S]."""
        scores: Tensor = self.video(pooled) @ self.sentence(bags).T
        return scores

    @torch.inference_mode()
    def score_matrix(self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> scores [V, S]; sentences of the same words get the very same score."""
        words, _ = self.vocabulary.encode_batch(sentences)
        bags, same = np.unique(
            _bags(torch.from_numpy(words), len(self.vocabulary)).numpy(), axis=0, return_inverse=True
        )
        pooled = torch.from_numpy(np.stack([video.mean(0) for video in videos]).astype(np.float32))
        scores: npt.NDArray[np.float32] = self.eval()(pooled, torch.from_numpy(bags))[:, same].numpy()
        return scores


def train_control(features: Path, captions: Path, preset: str, epochs: int, seed: int) -> OrderBlind:
    """Trains the control on a training split with the batches and the loss of a preset's recipe."""
    how = recipe(preset, "retrieval")
    torch.manual_seed(seed)
    table = read_captions(captions)
    vocabulary = Vocabulary.build((caption.sentence for caption in table), how.min_count)
    split = Split(open_features(features), table)
    width = split.store.width(split.video_ids)
    examples = RetrievalExamples(split, vocabulary, model_preset(preset, "retrieval", width, len(vocabulary)), how)
    model = OrderBlind(width, vocabulary).train()
    optimizer = torch.optim.Adam(model.parameters(), how.learning_rate)
    batches = ShuffledBatches(examples, how.batch, seed)
    for batches.epoch in range(epochs):
        for batch in batches:
            pooled = batch.features.sum(1) / batch.frame_lengths[:, None]
            scores = model(pooled, _bags(batch.words, len(vocabulary)))
            pairs = examples.pairs(batch, None)
            loss = examples.loss(scores[pairs], pairs, batch)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
    return model


def _head() -> tuple[nn.Module, ...]:
    return nn.Tanh(), nn.Linear(WIDTH, WIDTH)


def _bags(words: Tensor, size: int) -> Tensor:
    """Word ids [S, M], 0 = padding -> counts [S, size], none of them of the padding."""
    counts = nn.functional.one_hot(words.long(), size).sum(1).float()
    counts[:, 0] = 0
    return counts
