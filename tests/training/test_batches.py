"""An epoch of batches, whatever is in them."""

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.training.batches import ShuffledBatches


@pytest.fixture(scope="module")
def of(varied, examples_of):
    """(kind) -> examples: captions with so many neighbours, or the blanks of those captions."""
    kinds = {count: examples_of("retrieval", varied, neighbours=count) for count in (0, 1, 3)}
    return {**kinds, "blanks": examples_of("fill-in-the-blank", varied, batch=4)}.__getitem__


def rows_of(batches, epoch=0):
    """The rows of an epoch's batches, read through what they are stacked from."""
    batches.epoch, rows = epoch, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches.examples, "stack", lambda batch, random: rows.append(batch.tolist()))
        list(batches)
    return rows


@pytest.mark.parametrize("kind", [0, 1, 3, "blanks"])
def test_an_epoch_is_a_function_of_its_seed_and_number(of, kind):
    batches, again = (ShuffledBatches(of(kind), 4, seed=3) for _ in range(2))
    assert rows_of(batches, 0) == rows_of(again, 0)
    assert rows_of(batches, 5) == rows_of(again, 5) != rows_of(batches, 0)
    assert rows_of(ShuffledBatches(of(kind), 4, seed=4)) != rows_of(batches, 0)


def test_what_a_batch_draws_is_a_function_of_its_seed_epoch_and_number(varied, examples_of):
    examples = examples_of("retrieval", varied, exchanges=3, jitter=True)
    draws = {}
    for seed, epoch in ((3, 0), (3, 1), (4, 0)):
        batches = ShuffledBatches(examples, 23, seed)
        batches.epoch = epoch
        (batch,), (again,) = list(batches), list(batches)
        assert (batch.words == again.words).all() and (batch.features == again.features).all()
        order = batch.words[:23].numpy()
        draws[seed, epoch] = batch.words[np.lexsort(order.T)].tolist(), batch.features.sum().item()
    assert len(set(map(str, draws.values()))) == 3


@pytest.mark.parametrize("kind", [0, 1, 3, "blanks"])
def test_every_example_comes_at_most_once_an_epoch_and_at_last(of, kind):
    batches, seen, count = ShuffledBatches(of(kind), 4, seed=0), set(), len(of(kind))
    assert count % 4  # some are left over each epoch
    for epoch in range(30):
        rows = rows_of(batches, epoch)
        flat = [row for batch in rows for row in batch]
        assert len(rows) == len(batches) == count // 4
        assert all(len(batch) == 4 for batch in rows)
        assert len(set(flat)) == len(flat)
        seen.update(flat)
    assert seen == set(range(count))


@pytest.mark.parametrize("neighbours", [0, 1])
def test_processes_share_an_epoch_without_overlap(of, neighbours):
    parts = [ShuffledBatches(of(neighbours), 3, 0, processes=3) for _ in range(3)]
    for rank, part in enumerate(parts):
        part.rank = rank
    rows = [rows_of(part) for part in parts]
    assert [len(part) for part in rows] == [len(part) for part in parts] == [2, 2, 2]
    alone = rows_of(ShuffledBatches(of(neighbours), 3, 0))
    assert sorted(batch for part in rows for batch in part) == sorted(alone[:6])


@pytest.mark.parametrize(("batch", "processes"), [(24, 1), (8, 3)])
def test_too_few_examples_are_refused(of, batch, processes):
    with pytest.raises(JsfError, match=f"23 examples are too few for {processes} batches of {batch}"):
        ShuffledBatches(of(0), batch, seed=0, processes=processes)
    ShuffledBatches(of(0), 23 // processes, seed=0, processes=processes)
