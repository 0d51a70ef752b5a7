"""What a task trains on: its rows with their features, stacked into batches, its loss, and how it is validated."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.sequence import pad, sample_steps
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.models.config import JSFusionConfig
from jsf.training.batches import Rows
from jsf.training.features import KeptFeatures
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer

Pairs = tuple[Tensor, Tensor]


class Batch(NamedTuple):
    """Videos and sentences; sentence i describes video i, and those past the V-th describe none.

    Attributes:
        features: [V, 40, D]; frame_lengths: [V].
        words: [S, 40]; word_lengths: [S].
        describes: [V, S] bool, where a sentence is known to describe a video.
        candidates: [V, L], the sentences that each video is scored with, where the task gives them.
        blanks: [S], positions of the blanks; answers: [S], ids of the missing words: for fill-in-the-blank.
    """

    features: Tensor
    frame_lengths: Tensor
    words: Tensor
    word_lengths: Tensor
    describes: Tensor
    candidates: Tensor | None = None
    blanks: Tensor | None = None
    answers: Tensor | None = None


class Examples(ABC):
    """The rows of a split as a task's training examples.

    Raises:
        JsfError: the rows are not such that the task's can be made of them.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, config: JSFusionConfig, recipe: Recipe) -> None:
        self.split, self.store, self.vocabulary = split, split.store, vocabulary
        self.recipe, self.left_padded = recipe, config.left_padded
        self._features = KeptFeatures(split.store)

    @abstractmethod
    def __len__(self) -> int:
        """The number of examples."""

    def order(self, shuffled: Rows) -> Rows:
        """Puts examples next to those that they are to meet in a batch."""
        return shuffled

    @abstractmethod
    def stack(self, rows: Rows, random: np.random.Generator) -> Batch:
        """The examples of these rows as one batch."""

    @abstractmethod
    def pairs(self, batch: Batch, alignment: Tensor | None) -> Pairs:
        """The videos [P] and the sentences [P] of the pairs to match; `alignment` [V, S] tells which are hard."""

    @abstractmethod
    def loss(self, scores: Tensor, pairs: Pairs, batch: Batch) -> Tensor:
        """The loss of the pairs' scores, [P] or [P, |V|], in float32."""

    @abstractmethod
    def validate(self, scorer: CheckpointScorer) -> dict[str, float]:
        """The task's metrics on this split; `score` chooses the epoch."""

    def videos(self, video_ids: Iterable[str], random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Features [V, 40, D] and lengths [V]; of a longer video other steps each time, where the recipe says so."""
        sequences = [self._features.read(video_id) for video_id in video_ids]
        if self.recipe.jitter:
            sequences = [features[sample_steps(len(features), random=random)] for features in sequences]
        features, lengths = pad(sequences, left=self.left_padded)
        return torch.from_numpy(features), torch.from_numpy(lengths)


def tensors(*arrays: npt.NDArray[Any]) -> tuple[Tensor, ...]:
    """Arrays as tensors."""
    return tuple(map(torch.from_numpy, arrays))


def matrix(scores: Tensor, pairs: Pairs, batch: Batch) -> tuple[Tensor, Tensor]:
    """Scores [P] of pairs as a matrix [V, S], and where it holds a wrong pair's: [V, S] bool."""
    values = scores.new_zeros(batch.describes.shape).index_put(pairs, scores)
    scored = torch.zeros_like(batch.describes).index_put(pairs, torch.ones_like(scores, dtype=torch.bool))
    return values, scored & ~batch.describes
