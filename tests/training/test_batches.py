import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.data.vocabulary import Vocabulary
from jsf.training.batches import Captions, ShuffledBatches, grouped

WORDS = ("a", "b", "c", "d", "e", "f")


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """23 captions of 9 videos, whose lengths are 1, 6, 11 ... 41 steps."""
    folder, rng = tmp_path_factory.mktemp("features"), np.random.default_rng(0)
    for i in range(9):
        steps = np.arange(1 + 5 * i, dtype=np.float32)
        FeatureSequence(np.stack([steps, np.full_like(steps, i)], axis=1)).save(folder / f"v{i}.npz")
    table = [Caption(f"v{i % 9}", " ".join(rng.choice(WORDS, rng.integers(1, 7)))) for i in range(23)]
    return Captions(table, open_features(folder), Vocabulary(WORDS))


def rows_of(batches, epoch=0):
    """The rows of an epoch's batches, read through what they are stacked from."""
    batches.epoch, rows = epoch, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Captions, "stack", lambda self, batch: rows.append(batch.tolist()))
        list(batches)
    return rows


def test_a_batch_holds_the_captions_with_their_videos(captions):
    rows = np.array([8, 0, 17, 9])
    batch = captions.stack(rows)
    assert batch.features.shape == (4, 40, 2)
    assert batch.frame_lengths.tolist() == [40, 1, 40, 1]  # 41 steps are sampled to 40
    assert batch.features[0, :, 1].tolist() == [8.0] * 40
    assert not batch.features[1, 1:].any()
    for words, length, row in zip(batch.words, batch.word_lengths, rows, strict=True):
        ids = Vocabulary(WORDS).encode(captions.table[row].sentence)
        assert words.tolist() == ids + [0] * (40 - len(ids))
        assert length == len(ids)
    expected = [[True, False, True, False], [False, True, False, True]] * 2
    assert batch.same_video.tolist() == expected
    assert all(isinstance(value, torch.Tensor) for value in batch)


@pytest.mark.parametrize("neighbours", [0, 1, 3])
def test_an_epoch_is_a_function_of_its_seed_and_number(captions, neighbours):
    batches = ShuffledBatches(captions, 4, neighbours, seed=3)
    again = ShuffledBatches(captions, 4, neighbours, seed=3)
    assert rows_of(batches, 0) == rows_of(again, 0)
    assert rows_of(batches, 5) == rows_of(again, 5) != rows_of(batches, 0)
    assert rows_of(ShuffledBatches(captions, 4, neighbours, seed=4)) != rows_of(batches, 0)


@pytest.mark.parametrize("neighbours", [0, 1, 3])
def test_every_caption_comes_at_most_once_an_epoch_and_at_last(captions, neighbours):
    batches, seen = ShuffledBatches(captions, 4, neighbours, seed=0), set()
    for epoch in range(20):
        rows = rows_of(batches, epoch)
        flat = [row for batch in rows for row in batch]
        assert len(rows) == len(batches) == 5
        assert all(len(batch) == 4 for batch in rows)
        assert len(set(flat)) == len(flat)
        seen.update(flat)
    assert seen == set(range(23))


@pytest.mark.parametrize("neighbours", [0, 1])
def test_processes_share_an_epoch_without_overlap(captions, neighbours):
    parts = [ShuffledBatches(captions, 3, neighbours, 0, processes=3) for _ in range(3)]
    for rank, part in enumerate(parts):
        part.rank = rank
    rows = [rows_of(part) for part in parts]
    assert [len(part) for part in rows] == [len(part) for part in parts] == [2, 2, 2]
    alone = rows_of(ShuffledBatches(captions, 3, neighbours, 0))
    assert sorted(batch for part in rows for batch in part) == sorted(alone[:6])


@pytest.mark.parametrize(("batch", "processes"), [(24, 1), (8, 3)])
def test_too_few_captions_are_refused(captions, batch, processes):
    with pytest.raises(JsfError, match=f"23 captions are too few for {processes} batches of {batch}"):
        ShuffledBatches(captions, batch, 0, seed=0, processes=processes)
    ShuffledBatches(captions, 23 // processes, 0, seed=0, processes=processes)


@given(seed=st.integers(0, 1000), neighbours=st.integers(1, 4))
def test_a_group_is_a_caption_and_its_closest_of_other_videos(captions, seed, neighbours):
    order = np.random.default_rng(seed).permutation(len(captions))
    result = grouped(order, captions, neighbours).tolist()
    assert sorted(result) == list(range(len(captions)))

    sentences = [caption.sentence.split() for caption in captions.table]
    left = order.tolist()
    for start in range(0, len(result), 1 + neighbours):
        anchor, *partners = result[start : start + 1 + neighbours]
        assert anchor == left[0]  # the shuffle chooses whose turn it is
        left.remove(anchor)
        shared = {
            row: sum(word in sentences[anchor] for word in sentences[row]) / len(sentences[row]) ** 0.5
            for row in left
            if captions.video_ids[row] != captions.video_ids[anchor]
        }
        best = sorted(shared.values(), reverse=True)[:neighbours]
        assert [shared[row] for row in partners if row in shared] == pytest.approx(best)
        assert sum(row not in shared for row in partners) == len(partners) - len(best)  # only for want of others
        left = [row for row in left if row not in partners]


def test_features_of_two_widths_are_refused(tmp_path):
    for i in (1, 2):
        FeatureSequence(np.ones((2, i), np.float32)).save(tmp_path / f"v{i}.npz")
    table = [Caption("v1", "a"), Caption("v2", "b")]
    with pytest.raises(JsfError, match=r"differ in width: 1 \(v1\), 2 \(v2\)"):
        Captions(table, open_features(tmp_path), Vocabulary(WORDS))
