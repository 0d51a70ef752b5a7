"""What embeddings are trained on: videos with their clips, texts with their sentences, and which pairs are wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jsf.data.captions import Caption
from jsf.data.clips import cut
from jsf.data.errors import JsfError
from jsf.data.levels import Limits
from jsf.data.paragraphs import Paragraph, uniform
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.data.vocabulary import Vocabulary
from jsf.training.hse.examples import HSEExamples
from jsf.training.hse.recipe import HSERecipe

DEEP = Limits(hierarchical=True, frames=6, words=4, text_words=8, clips=3, segments=2)
FLAT = replace(DEEP, hierarchical=False)
HALVES = ((0.0, 0.5), (0.5, 1.0))
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Videos v0, v1, v2 of 4, 9 and 20 steps; a frame is the number of its step and the number of its video."""
    folder = tmp_path_factory.mktemp("features")
    for i, length in enumerate((4, 9, 20)):
        steps = np.arange(length, dtype=np.float32)
        FeatureSequence(np.stack([steps, np.full_like(steps, i)], axis=1)).save(folder / f"v{i}.npz")
    return open_features(folder)


@pytest.fixture(scope="module")
def examples_of(store):
    def build(rows, limits=DEEP, **recipe):
        vocabulary = Vocabulary.build((row.sentence for row in rows), min_count=1)
        return HSEExamples(Split(store, rows), vocabulary, limits, HSERecipe(**recipe))

    return build


PARAGRAPHS = [
    Paragraph("v0", ("red", "blue then red"), HALVES),
    Paragraph("v1", ("green",), ((0.2, 0.6),)),
    Paragraph("v2", ("a", "b", "c", "d"), ((0.0, 0.1), (0.1, 0.4), (0.4, 0.5), (0.5, 1.0))),
    Paragraph("v0", ("green",), ((0.5, 1.0),)),
]


def test_a_batch_holds_whole_and_parts(examples_of):
    batch = examples_of(PARAGRAPHS).stack(np.array([1, 0, 2]), RANDOM)
    whole, lengths, clips, clip_lengths = batch.videos
    assert lengths.tolist() == [6, 4, 6]  # six of the 9 steps of v1, all of v0, and six of the 20 of v2
    assert whole.shape == (3, 6, 2) and whole[0, :, 0].tolist() == [0, 1, 3, 4, 6, 7] and not whole[1, 4:].any()
    assert whole[2, :, 0].tolist() == [0, 3, 6, 10, 13, 16]
    assert clip_lengths.tolist() == [[5, 0, 0], [2, 2, 0], [2, 6, 2]]  # the fourth clip is past the limit
    assert clips[1, :2, :2, 0].tolist() == [[0, 1], [2, 3]]
    words, text_lengths, sentences, sentence_lengths = batch.texts
    assert text_lengths.tolist() == [1, 4, 4] and words.shape == (3, 4)
    assert sentence_lengths.tolist() == [[1, 0, 0], [1, 3, 0], [1, 1, 1]] and sentences.shape == (3, 3, 3)
    assert batch.wrong.tolist() == (~torch.eye(3, dtype=torch.bool)).tolist()
    assert batch.paired.all()


def test_a_batch_is_cropped_to_what_it_holds(examples_of):
    batch = examples_of(PARAGRAPHS).stack(np.array([1, 3]), RANDOM)
    assert [tuple(array.shape) for array in batch.videos] == [(2, 6, 2), (2,), (2, 1, 5, 2), (2, 1)]
    assert [tuple(array.shape) for array in batch.texts] == [(2, 1), (2,), (2, 1, 1), (2, 1)]


def test_texts_of_the_same_video_and_the_same_texts_are_never_wrong(examples_of):
    batch = examples_of(PARAGRAPHS).stack(np.arange(4), RANDOM)
    expected = [[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]]  # 0 and 3 share a video, 1 and 3 a text
    assert batch.wrong.int().tolist() == expected


def test_a_flat_model_sees_captions_and_paragraphs_as_wholes(examples_of):
    for rows in ([Caption("v0", "red"), Caption("v1", "red then blue")], PARAGRAPHS[:2]):
        batch = examples_of(rows, FLAT).stack(np.array([0, 1]), RANDOM)
        assert [len(side) for side in (batch.videos, batch.texts)] == [2, 2]
        assert batch.videos[1][0] == 4
    assert batch.videos[1].tolist() == [4, 6]


def test_a_paragraph_without_known_clips_is_not_paired(examples_of):
    batch = examples_of([PARAGRAPHS[0], uniform(PARAGRAPHS[1], 3)]).stack(np.array([0, 1]), RANDOM)
    assert batch.paired.tolist() == [True, False]
    assert batch.videos[3].tolist() == [[2, 2, 0], [3, 3, 3]]


@pytest.mark.parametrize("jitter", [False, True])
def test_other_steps_of_what_is_long_are_drawn_each_time_where_the_recipe_says_so(examples_of, jitter):
    examples, random = examples_of([PARAGRAPHS[2], PARAGRAPHS[0]], jitter=jitter), np.random.default_rng(0)
    batches = [examples.stack(np.array([0, 1]), random) for _ in range(4)]
    drawn = {tuple(batch.videos[0][0, :, 0].tolist()) for batch in batches}
    assert (len(drawn) > 1) is jitter
    for batch in batches:
        whole, _, clips, lengths = batch.videos
        assert (whole[0, 1:, 0] > whole[0, :-1, 0]).all()
        for k, span in enumerate(PARAGRAPHS[2].spans[:3]):
            within = cut(np.arange(20), span)
            assert set(clips[0, k, : lengths[0, k], 0].int().tolist()) <= set(within.tolist())
        assert whole[1, :4, 0].tolist() == [0, 1, 2, 3]  # what is short stays


CAPTIONS = [Caption(f"v{i % 3}", text) for i, text in enumerate(("red then blue", "blue then red", "a b c", "red b"))]


def test_exchanged_texts_come_after_the_others_and_are_wrong_of_their_video(examples_of):
    examples = examples_of(CAPTIONS, FLAT, exchanges=2, loss="contrastive")
    batch = examples.stack(np.arange(3), np.random.default_rng(0))
    words, lengths = batch.texts
    assert words.shape[0] == 9 and batch.wrong.shape == (3, 9)
    assert lengths.tolist() == lengths[:3].tolist() * 3
    for copy in (1, 2):
        changed = words[3 * copy : 3 * copy + 3] != words[:3]
        assert (changed.sum(1) <= 1).all() and changed.any()
        assert torch.equal(batch.wrong[:, 3 * copy : 3 * copy + 3].diagonal(), changed.any(1))


def test_an_exchanged_text_that_tells_of_another_video_is_not_wrong_of_it(examples_of):
    """With "red" and "blue" to exchange, each text becomes that of the other video sooner or later."""
    rows = [Caption("v0", "red"), Caption("v1", "blue")]
    examples = examples_of(rows, FLAT, exchanges=1, loss="contrastive")
    batch = examples.stack(np.array([0, 1]), np.random.default_rng(0))
    words = batch.texts[0][:, 0].tolist()
    assert sorted(words) == [1, 1, 2, 2] and words[2:] == words[1::-1]
    assert batch.wrong.tolist() == [[False, True, True, False], [True, False, False, True]]


def test_an_unchanged_copy_is_not_wrong_of_another_row_of_its_video(examples_of):
    """All texts have the same word at every place, so that none can be exchanged."""
    examples = examples_of([Caption("v0", "red"), Caption("v0", "red"), Caption("v1", "red")], FLAT, exchanges=1)
    assert not examples.stack(np.arange(3), np.random.default_rng(0)).wrong.any()


def test_a_hierarchical_model_refuses_a_caption_among_paragraphs(examples_of):
    with pytest.raises(JsfError, match="the table holds single captions"):
        examples_of([*PARAGRAPHS, Caption("v1", "red")])


def test_neighbours_follow_the_text_whose_words_they_share(examples_of):
    texts = ("a b c", "x y z", "p q r", "c b a", "z y x", "r q p")
    rows = [Caption(f"v{(i + i // 3) % 3}", text) for i, text in enumerate(texts)]
    plain, beside = (examples_of(rows, FLAT, neighbours=count) for count in (0, 1))
    shuffled = np.array([0, 1, 2, 3, 4, 5])
    assert plain.order(shuffled).tolist() == [0, 1, 2, 3, 4, 5]
    pairs = beside.order(shuffled).reshape(-1, 2)
    assert sorted(pairs.ravel()) == [0, 1, 2, 3, 4, 5]
    assert all(abs(first - second) == 3 for first, second in pairs)


def test_clips_of_the_same_span_are_known_as_the_same(examples_of):
    twice = Paragraph("v0", ("red", "blue", "green"), (HALVES[0], HALVES[0], HALVES[1]))
    batch = examples_of([twice, PARAGRAPHS[3]]).stack(np.array([0, 1]), RANDOM)
    assert batch.clip_ids.tolist() == [0, 0, 1, 1]  # v0's second half is in both rows
