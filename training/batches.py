"""Epochs of batches: shuffled, and the same again when a run is resumed."""

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from torch.utils.data import IterableDataset

from jsf.data.errors import JsfError

Batch = TypeVar("Batch", covariant=True)
Rows = npt.NDArray[np.intp]


class BatchSource(Protocol[Batch]):
    """Examples that batches are made of."""

    def __len__(self) -> int:
        """The number of examples."""

    def order(self, shuffled: Rows) -> Rows:
        """Puts examples next to those that they are to meet in a batch."""

    def stack(self, rows: Rows, random: np.random.Generator) -> Batch:
        """The examples of these rows as one batch."""


class ShuffledBatches(IterableDataset[Any]):
    """One epoch of batches, shuffled anew each epoch from (seed, epoch), so that a resumed run sees the same ones.

    Args:
        examples: of the training split.
        batch: examples a batch.
        seed: of the shuffle.
        processes: how many train together; the one of `self.rank` takes every `processes`-th batch.

    Raises:
        JsfError: there are fewer examples than a batch holds.
    """

    def __init__(self, examples: BatchSource[Any], batch: int, seed: int, processes: int = 1) -> None:
        if len(examples) < batch * processes:
            raise JsfError(
                f"{len(examples)} examples are too few for {processes} batches of {batch}.",
                "Train on more, or in smaller batches: --set batch=8.",
            )
        self.examples, self.batch, self.seed, self.processes = examples, batch, seed, processes
        self.epoch, self.rank = 0, 0

    def __len__(self) -> int:
        """Batches an epoch in this process; examples that do not fill a batch wait for another epoch's shuffle."""
        return len(self.examples) // (self.batch * self.processes)

    def __iter__(self) -> Iterator[Any]:
        """The batches of `self.epoch` for process `self.rank`."""
        order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.examples))
        order = self.examples.order(order)
        rows = order[: len(self) * self.processes * self.batch].reshape(-1, self.batch)
        for number in range(self.rank, len(rows), self.processes):
            yield self.examples.stack(rows[number], np.random.default_rng([self.seed, self.epoch, number]))
