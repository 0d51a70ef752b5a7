"""What an embedding model is given of videos and of texts: whole and parts, within its limits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.clips import Clips
from jsf.data.levels import Limits, text_levels, video_levels
from jsf.data.vocabulary import Vocabulary

VOCABULARY = Vocabulary(("red", "blue", "then", "rings"))
DEEP = Limits(hierarchical=True, frames=4, words=3, text_words=5, clips=3, segments=2)
FLAT = replace(DEEP, hierarchical=False)


def features(length, value=1.0):
    return np.full((length, 2), value, np.float32) * np.arange(1, length + 1, dtype=np.float32)[:, None]


def ids(levels, row=0):
    """The ids of each sentence of a text, without padding."""
    return [part[:length].tolist() for part, length in zip(levels.parts[row], levels.part_lengths[row], strict=True)]


def test_a_flat_model_sees_the_whole_alone():
    clips = Clips(features(3), [features(1), features(2)])
    levels = video_levels([clips, features(9)], FLAT)
    assert levels.parts is None and levels.part_lengths is None
    assert [array.shape for array in levels.arrays] == [(2, 4, 2), (2,)]
    assert levels.lengths.tolist() == [3, 4]
    assert levels.whole[1, :, 0].tolist() == [1, 3, 5, 7]
    assert len(text_levels(["red. blue"], VOCABULARY, FLAT).arrays) == 2


def test_a_video_without_clips_is_cut_into_equal_ones():
    levels = video_levels([features(6)], DEEP)
    assert levels.parts.shape == (1, 3, 4, 2)
    assert levels.part_lengths.tolist() == [[3, 3, 0]]
    assert levels.parts[0, :2, :3, 0].tolist() == [[1, 2, 3], [4, 5, 6]]
    assert levels.whole[0, :, 0].tolist() == [1, 2, 4, 5]


def test_a_video_of_one_step_has_all_its_segments():
    levels = video_levels([features(1)], DEEP)
    assert levels.part_lengths.tolist() == [[1, 1, 0]]
    assert (levels.parts[0, :2, 0] == levels.whole[0, 0]).all()


def test_clips_that_are_known_are_kept_and_those_past_the_limit_are_not():
    clips = Clips(features(3), [features(2, value) for value in (1, 2, 3, 4)])
    levels = video_levels([clips, features(2)], DEEP)
    assert levels.part_lengths.tolist() == [[2, 2, 2], [1, 1, 0]]
    assert levels.parts[0, :, 0, 0].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("red then blue", [[1, 3, 2]]),
        ("Red. Blue! Rings?", [[1], [2], [4]]),
        ("  red.\n blue ", [[1], [2]]),
        ("red... then", [[1], [3]]),
        ("red 3.5 blue", [[1, 2]]),  # a dot within a word ends nothing
        (["red. blue", "rings"], [[1, 2], [4]]),  # sentences that are given are not cut again
        (("red",), [[1]]),
        ("red green blue. violet", [[1, 2], [0]]),  # of unknown words, one padding word is left
        ("red then blue rings", [[1, 3, 2]]),
        ("red. red. red. blue.", [[1], [1], [1]]),
    ],
)
def test_sentences(text, sentences):
    levels = text_levels([text], VOCABULARY, DEEP)
    assert ids(levels) == sentences + [[]] * (3 - len(sentences))


def test_the_whole_text_reaches_past_the_sentences_that_are_kept():
    levels = text_levels(["red. blue. then. rings. red. blue."], VOCABULARY, DEEP)
    assert levels.whole[0].tolist() == [1, 2, 3, 4, 1] and levels.lengths.tolist() == [5]


def test_an_empty_text_is_one_padding_word():
    levels = text_levels(["", "red"], VOCABULARY, DEEP)
    assert levels.lengths.tolist() == [1, 1] and levels.whole[0].tolist() == [0] * 5
    assert levels.part_lengths.tolist() == [[1, 0, 0], [1, 0, 0]]


words = st.lists(st.sampled_from([*VOCABULARY.words, "unknown"]), min_size=1, max_size=6).map(" ".join)
paragraphs = st.lists(words, min_size=1, max_size=5)


@given(texts=st.lists(paragraphs, min_size=1, max_size=4), end=st.sampled_from([". ", "! ", "?  ", ".\n"]))
def test_a_text_is_cut_into_the_sentences_it_was_made_of(texts, end):
    joined = text_levels([end.join(text) for text in texts], VOCABULARY, DEEP)
    given_ = text_levels(texts, VOCABULARY, DEEP)
    for found, expected in zip(joined.arrays, given_.arrays, strict=True):
        np.testing.assert_array_equal(found, expected)


@given(texts=st.lists(paragraphs, min_size=1, max_size=4))
def test_texts_keep_to_the_limits_and_have_no_gap(texts):
    levels = text_levels(texts, VOCABULARY, DEEP)
    assert levels.whole.shape == (len(texts), 5) and levels.parts.shape == (len(texts), 3, 3)
    assert (levels.lengths >= 1).all() and (levels.lengths <= 5).all() and (levels.part_lengths <= 3).all()
    for row, text in enumerate(texts):
        assert ((levels.part_lengths[row] > 0) == (np.arange(3) < len(text))).all()
    padding = np.arange(3) >= levels.part_lengths[..., None]
    assert (levels.parts[padding] == 0).all()
    alone = [text_levels([text], VOCABULARY, DEEP) for text in texts]
    for found, expected in zip(levels.arrays, zip(*(each.arrays for each in alone), strict=True), strict=True):
        np.testing.assert_array_equal(found, np.concatenate(expected))


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4))
def test_videos_keep_to_the_limits(lengths):
    levels = video_levels([features(length) for length in lengths], DEEP)
    assert levels.lengths.tolist() == [min(length, 4) for length in lengths]
    assert ((levels.part_lengths > 0) == [True, True, False]).all()
    assert (levels.part_lengths <= 4).all()
    padding = np.arange(4) >= levels.part_lengths[..., None]
    assert (levels.parts[padding] == 0).all()
    assert (levels.parts[~padding] >= 1).all()
