"""Batches of captions with their videos; all pairs within a batch are scored."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.sequence import pad
from jsf.data.store import FeatureStore
from jsf.data.vocabulary import Vocabulary


class Batch(NamedTuple):
    """B captions, each with its video.

    Attributes:
        features: [B, 40, D]; frame_lengths: [B].
        words: [B, 40]; word_lengths: [B].
        same_video: [B, B] bool, where caption j describes video i.
    """

    features: Tensor
    frame_lengths: Tensor
    words: Tensor
    word_lengths: Tensor
    same_video: Tensor


class Captions:
    """The captions of a split with their features, ready to be stacked.

    Raises:
        JsfError: a video has no features, or the widths differ.
    """

    def __init__(self, captions: list[Caption], store: FeatureStore, vocabulary: Vocabulary) -> None:
        self.table = captions
        self.video_ids = [caption.video_id for caption in captions]
        self.width = store.width(dict.fromkeys(self.video_ids))
        self.store = store
        self.words, self.word_lengths = vocabulary.encode_batch([caption.sentence for caption in captions])

    def __len__(self) -> int:
        """The number of captions."""
        return len(self.video_ids)

    def stack(self, rows: npt.NDArray[np.intp]) -> Batch:
        """The captions of these rows as one batch."""
        ids = np.array([self.video_ids[row] for row in rows])
        features, frame_lengths = pad([self.store.read(video_id) for video_id in ids])
        return Batch(
            torch.from_numpy(features),
            torch.from_numpy(frame_lengths),
            torch.from_numpy(self.words[rows]),
            torch.from_numpy(self.word_lengths[rows]),
            torch.from_numpy(ids[:, None] == ids[None, :]),
        )


class ShuffledBatches(IterableDataset[Batch]):
    """One epoch of batches, shuffled anew each epoch from (seed, epoch), so that a resumed run sees the same ones.

    Args:
        captions: the training split.
        batch: captions a batch.
        neighbours: companions of each shuffled caption, see `grouped`.
        seed: of the shuffle.
        processes: how many train together; the one of `self.rank` takes every `processes`-th batch.

    Raises:
        JsfError: there are fewer captions than a batch holds.
    """

    def __init__(self, captions: Captions, batch: int, neighbours: int, seed: int, processes: int = 1) -> None:
        if len(captions) < batch * processes:
            raise JsfError(f"{len(captions)} captions are too few for {processes} batches of {batch}.")
        self.captions, self.batch, self.neighbours = captions, batch, neighbours
        self.seed, self.processes = seed, processes
        self.epoch, self.rank = 0, 0

    def __len__(self) -> int:
        """Batches an epoch in this process; captions that do not fill a batch wait for another epoch's shuffle."""
        return len(self.captions) // (self.batch * self.processes)

    def __iter__(self) -> Iterator[Batch]:
        """The batches of `self.epoch` for process `self.rank`."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.captions))
        if self.neighbours:
            order = grouped(order, self.captions, self.neighbours)
        rows = order[: len(self) * self.processes * self.batch].reshape(-1, self.batch)
        for batch in rows[self.rank :: self.processes]:
            yield self.captions.stack(batch)


POOL = 2048
"""Among how many captions a neighbour is looked for: enough to find close ones, few enough for large sets."""


def grouped(order: npt.NDArray[np.intp], captions: Captions, neighbours: int) -> npt.NDArray[np.intp]:
    """Reorders a shuffle so that each caption is followed by those of other videos that share most words with it.

    Captions of the same words in another order, or with one word changed, then meet in one batch and are told apart.
    """
    ids = np.array(captions.video_ids)
    result: list[npt.NDArray[np.intp]] = []
    while len(order):
        anchor, pool = order[0], order[1 : 1 + POOL]
        known = captions.words[anchor, : captions.word_lengths[anchor]]
        shared = np.isin(captions.words[pool], known).sum(1) / np.sqrt(captions.word_lengths[pool])
        shared[ids[pool] == ids[anchor]] = -1.0
        nearest = np.argsort(-shared, kind="stable")[:neighbours]
        result += [order[:1], pool[nearest]]
        order = np.delete(order, np.append(nearest + 1, 0))
    return np.concatenate(result)
