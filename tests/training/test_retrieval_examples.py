"""What retrieval trains on: captions with their videos, exchanged words, and the pairs that are matched."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.captions import Caption
from jsf.data.split import Split
from jsf.training.examples import Batch
from jsf.training.losses import contrastive_loss, ranking_loss

RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def plain(varied, examples_of):
    return examples_of("retrieval", varied)


def test_a_batch_holds_the_captions_with_their_videos(plain):
    rows = np.array([8, 0, 17, 9])
    batch = plain.stack(rows, RANDOM)
    assert batch.features.shape == (4, 40, 2)
    assert batch.frame_lengths.tolist() == [40, 1, 40, 1]  # 41 steps are sampled to 40
    assert batch.features[0, :, 1].tolist() == [8.0] * 40
    assert not batch.features[1, 1:].any()
    for words, length, row in zip(batch.words, batch.word_lengths, rows, strict=True):
        ids = plain.vocabulary.encode(plain.table[row].sentence)
        assert words.tolist() == ids + [0] * (40 - len(ids))
        assert length == len(ids)
    expected = [[True, False, True, False], [False, True, False, True]] * 2
    assert batch.describes.tolist() == expected


def test_the_authors_pad_videos_on_the_left(varied, examples_of):
    batch = examples_of("retrieval", varied, preset="official").stack(np.array([1, 8]), RANDOM)
    assert batch.features[0, -6:, 0].tolist() == list(range(6))
    assert not batch.features[0, :-6].any()
    assert batch.frame_lengths.tolist() == [6, 40]


def test_jitter_draws_other_steps_of_long_videos_alone(varied, examples_of):
    examples = examples_of("retrieval", varied, jitter=True)
    first, second = (examples.stack(np.arange(9), np.random.default_rng(seed)).features for seed in (0, 1))
    assert (first[:8] == second[:8]).all()  # up to 36 steps, all of which are there
    assert (first[8] != second[8]).any()
    assert (np.diff(first[8, :, 0]) >= 0).all()


@given(seed=st.integers(0, 1000), exchanges=st.integers(1, 3))
def test_an_exchange_replaces_one_word_by_one_of_another_caption_at_its_place(varied, examples_of, seed, exchanges):
    examples = examples_of("retrieval", varied, exchanges=exchanges)
    rows = np.random.default_rng(seed).permutation(23)[:6]
    batch = examples.stack(rows, np.random.default_rng(seed))
    assert batch.words.shape == (6 * (1 + exchanges), 40)
    assert batch.describes.shape == (6, 6 * (1 + exchanges))
    assert not batch.describes[:, 6:].any()
    for i, (words, length) in enumerate(zip(batch.words[6:], batch.word_lengths[6:], strict=True)):
        original = batch.words[i % 6]
        assert length == batch.word_lengths[i % 6]
        (place,) = (words != original).nonzero().flatten().tolist()
        assert place < length
        assert words[place] in examples.words[:, place] and words[place] != 0


def test_a_word_that_all_captions_share_stays_and_the_caption_is_not_wrong(varied, examples_of):
    split = Split(varied.store, [Caption("v0", "a b"), Caption("v1", "a b"), Caption("v2", "a b")])
    examples = examples_of("retrieval", split, exchanges=1)
    batch = examples.stack(np.arange(3), RANDOM)
    assert (batch.words[3:] == batch.words[:3]).all()
    assert batch.describes[:, 3:].tolist() == np.eye(3).astype(bool).tolist()


@st.composite
def galleries(draw):
    """A batch's `describes` [V, S] with repeated videos, an alignment [V, S], and how many are mined."""
    size, copies = draw(st.integers(1, 6)), draw(st.integers(0, 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    videos = rng.integers(0, draw(st.integers(1, 6)), size)
    same = np.equal.outer(videos, videos)
    describes = np.hstack([same, *[np.zeros_like(same)] * copies])
    return describes, rng.standard_normal(describes.shape), draw(st.integers(1, 4))


def pairs_of(examples, describes, alignment):
    empty = torch.empty(0)
    batch = Batch(empty, empty, empty, empty, torch.from_numpy(describes))
    videos, sentences = examples.pairs(batch, None if alignment is None else torch.from_numpy(alignment))
    pairs = list(zip(videos.tolist(), sentences.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    return set(pairs)


def own_exchanged(describes):
    size, sentences = describes.shape
    return {(s % size, s) for s in range(size, sentences)}


@given(gallery=galleries())
def test_without_mining_every_video_meets_every_caption(plain, gallery):
    describes, alignment, _ = gallery
    size = range(len(describes))
    expected = {(v, s) for v in size for s in size} | own_exchanged(describes)
    assert pairs_of(plain, describes, alignment) == expected


@given(gallery=galleries())
def test_mined_are_the_true_pairs_and_the_hardest_wrong_ones_of_each_side(varied, examples_of, gallery):
    describes, alignment, mined = gallery
    examples, size = examples_of("retrieval", varied, mined=mined), range(len(describes))
    expected = {(i, i) for i in size} | own_exchanged(describes)
    for i in size:
        captions = sorted((s for s in size if not describes[i, s]), key=lambda s: -alignment[i, s])
        videos = sorted((v for v in size if not describes[v, i]), key=lambda v: -alignment[v, i])
        expected |= {(i, s) for s in captions[:mined]} | {(v, i) for v in videos[:mined]}
    found = pairs_of(examples, describes, alignment)
    assert found == expected
    assert not any(describes[pair] for pair in found if pair[0] != pair[1])
    everything = {(v, s) for v in size for s in size} | own_exchanged(describes)
    assert pairs_of(examples, describes, None) == everything  # before there is an alignment


@pytest.mark.parametrize("contrastive", [False, True])
def test_the_loss_counts_the_scored_pairs_alone(varied, examples_of, contrastive):
    examples = examples_of("retrieval", varied, exchanges=1, contrastive=contrastive)
    batch = examples.stack(np.array([0, 9, 3, 5]), RANDOM)  # the first two describe one video
    pairs = tuple(torch.tensor(index) for index in ([0, 1, 2, 3, 0, 2, 1], [0, 1, 2, 3, 1, 3, 5]))
    scores = torch.randn(7, generator=torch.Generator().manual_seed(0))
    values, wrong = torch.full((4, 8), 100.0), torch.zeros(4, 8).bool()
    values[pairs] = scores
    wrong[2, 3] = wrong[1, 5] = True  # not (0, 1), which is true
    expected = contrastive_loss(values, wrong) if contrastive else ranking_loss(values, wrong, 1.0)
    torch.testing.assert_close(examples.loss(scores, pairs, batch), expected)


@given(seed=st.integers(0, 1000), neighbours=st.integers(1, 4))
def test_a_group_is_a_caption_and_its_closest_of_other_videos(varied, examples_of, seed, neighbours):
    captions = examples_of("retrieval", varied, neighbours=neighbours)
    order = np.random.default_rng(seed).permutation(len(captions))
    result = captions.order(order).tolist()
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


def test_without_neighbours_the_shuffle_stays(varied, examples_of):
    order = np.random.default_rng(0).permutation(23)
    assert examples_of("retrieval", varied, neighbours=0).order(order) is order
