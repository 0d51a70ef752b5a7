"""A flat embedding to compare with: a GRU over the frames, another over the words, and the cosine of their maxima.

It is what the HSE paper calls FSE: 512 units, maximum over valid steps, hinge of 0.2 over all pairs of a batch, Adam.
Like JSFusion's recipe it gets word vectors that stay as they are, an open vocabulary, and dropout of whole numbers.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jsf.data.sequence import pad
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.data.word_vectors import read_word_vectors, words_with_vectors
from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dropout, valid_steps
from jsf.models.presets import preset
from jsf.training.losses import ranking_loss
from jsf.training.recipe import Recipe
from jsf.training.retrieval import RetrievalExamples

WIDTH, MARGIN, LEARNING_RATE, BATCH = 512, 0.2, 1e-3, 32
WHOLE = JSFusionConfig("flat", 1, 1, whole_dropout=True)


class Flat(nn.Module):
    """Two GRUs; what they scored is a matrix scorer and a pair scorer."""

    description, extractor = "a flat embedding, on PyTorch", ""

    def __init__(
        self, feature_width: int, vocabulary: Vocabulary, mean: Tensor, scale: Tensor, frame_dropout: float
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.embedding = nn.Embedding(len(vocabulary), 300, padding_idx=0)
        self.video, self.sentence = (nn.GRU(width, WIDTH, batch_first=True) for width in (feature_width, 300))
        self.frame_dropout, self.word_dropout = (Dropout(rate, WHOLE) for rate in (frame_dropout, 0.3))

    def videos(self, features: Tensor, lengths: Tensor) -> Tensor:
        """[V, N, D] and lengths [V] -> [V, 512], of length one."""
        return pooled(self.video, self.frame_dropout((features - self.mean) * self.scale), lengths)

    def sentences(self, words: Tensor, lengths: Tensor) -> Tensor:
        """[S, M] and lengths [S] -> [S, 512], of length one."""
        steps = int(lengths.max())
        return pooled(self.sentence, self.word_dropout(self.embedding(words[:, :steps])), lengths)

    @torch.inference_mode()
    def score_matrix(self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str]) -> npt.NDArray[np.float32]:
        """Features [T_i, D] and sentences -> cosines [V, S]."""
        self.eval()
        encoded = self.videos(*map(torch.from_numpy, pad(list(videos))))
        queries = self.sentences(*map(torch.from_numpy, self.vocabulary.encode_batch(sentences)))
        scores: npt.NDArray[np.float32] = (encoded @ queries.T).numpy()
        return scores

    def match_pairs(
        self, videos: Sequence[npt.NDArray[Any]], sentences: Sequence[str], rows: Any, columns: Any
    ) -> npt.NDArray[np.float32]:
        """Cosines of video `rows[p]` with sentence `columns[p]`: [P]."""
        return self.score_matrix(videos, sentences)[rows, columns]


def pooled(gru: nn.GRU, x: Tensor, lengths: Tensor) -> Tensor:
    """The maximum over valid steps of a GRU's states, [B, 512], of length one."""
    states: Tensor = gru(x)[0]
    padding = ~valid_steps(lengths, x.shape[1])
    return F.normalize(states.masked_fill(padding[..., None], -torch.inf).amax(1), dim=-1)


def train_flat(split: Split, word_vectors: Path, epochs: int, frame_dropout: float, seed: int) -> Flat:
    """Trains on a split for so many epochs, with a learning rate that falls to zero along a cosine."""
    torch.manual_seed(seed)
    seen = Vocabulary.build((row.sentence for row in split.rows), 1)  # type: ignore[union-attr]
    vocabulary = Vocabulary(tuple(dict.fromkeys([*seen.words, *words_with_vectors(word_vectors)])))
    steps = np.concatenate([split.store.read(video_id) for video_id in split.video_ids]).astype(np.float32)
    spread = steps.std(0)
    mean, scale = torch.from_numpy(steps.mean(0)), torch.from_numpy(1 / np.maximum(spread, 0.1 * np.median(spread)))
    model = Flat(steps.shape[1], vocabulary, mean, scale, frame_dropout)
    vectors, found = read_word_vectors(word_vectors, vocabulary, 300)
    with torch.no_grad():
        model.embedding.weight[torch.from_numpy(found)] = torch.from_numpy(vectors[found])
    model.embedding.requires_grad_(False)
    recipe = Recipe(jitter=True)
    config = preset("small", "retrieval", steps.shape[1], len(vocabulary))
    examples, random = RetrievalExamples(split, vocabulary, config, recipe), np.random.default_rng(seed)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE)
    count = len(examples) // BATCH
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * count)
    for _ in range(epochs):
        model.train()
        order = random.permutation(len(examples))[: count * BATCH].reshape(count, BATCH)
        for rows in order:
            batch = examples.stack(rows, random)
            scores = (
                model.videos(batch.features, batch.frame_lengths) @ model.sentences(batch.words, batch.word_lengths).T
            )
            loss = ranking_loss(scores, ~batch.describes, MARGIN)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model
