"""The pairs that are timed have the lengths of a table's sentences, counted as a scorer counts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.bench.workload import USUAL, Workload, table_workload

VOCABULARY = Vocabulary((BLANK, "a", "red", "circle", "then", "rings"))


def table(path, *lines, header="video_id,sentence"):
    path.write_text("\n".join((header, *lines)) + "\n")
    return path


def test_words_are_counted_as_the_scorer_does(tmp_path):
    captions = table(
        tmp_path / "captions.csv", "v0,a red circle", "v1,a purple circle", "v2," + "red " * 50, "v3,unknown words"
    )
    found = table_workload(captions, VOCABULARY, "retrieval", 23)
    assert found.words.tolist() == [1, 2, 3, 40]
    assert found.words.dtype == np.int32
    assert (found.frames, found.blanks) == (23, None)
    assert found.source == "4 sentences of captions.csv, 11.5 known words in the mean"


def test_every_option_of_a_question_counts(tmp_path):
    questions = table(tmp_path / "mc.csv", "v0,a red,rings then a red circle,1", header="video_id,a1,a2,answer")
    assert table_workload(questions, VOCABULARY, "multiple-choice", 40).words.tolist() == [2, 5]


def test_blanks_keep_their_places(tmp_path):
    lines = "v0,a red circle then _____,rings", "v1,a _____ circle,red"
    blanks = table(tmp_path / "fib.csv", *lines, header="video_id,blank_sentence,answer")
    found = table_workload(blanks, VOCABULARY, "fill-in-the-blank", 40)
    assert found.words.tolist() == [3, 5]
    assert found.blanks.tolist() == [1, 4]


@pytest.mark.parametrize("task", ["retrieval", "fill-in-the-blank"])
def test_without_a_table_lengths_are_those_of_usual_captions(task):
    found = table_workload(None, VOCABULARY, task, 40)
    assert sum(USUAL.values()) == len(found) == 100
    assert dict(zip(*np.unique(found.words, return_counts=True), strict=True)) == USUAL
    assert "no table was given" in found.source
    assert (found.blanks is None) == (task == "retrieval")
    if found.blanks is not None:
        assert (found.blanks < found.words).all()


def test_a_table_of_unknown_words_is_refused(tmp_path):
    captions = table(tmp_path / "captions.csv", "v0,nothing here")
    with pytest.raises(JsfError, match=r"none of the words of .*captions\.csv is in .* vocabulary of 6 words"):
        table_workload(captions, VOCABULARY, "retrieval", 40)
    with pytest.raises(JsfError, match="does not exist"):
        table_workload(tmp_path / "absent.csv", VOCABULARY, "retrieval", 40)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.integers(1, 200))
def test_some_pairs_are_distributed_as_all_are(lengths, count):
    whole = Workload("", 40, np.sort(np.array(lengths, np.int32)))
    some = whole.evenly(count)
    assert len(some) == count
    assert set(some.words.tolist()) <= set(lengths)
    for length in set(lengths):  # each length's share is off by less than a pair at either of its ends
        assert abs((some.words == length).sum() / count - lengths.count(length) / len(lengths)) <= 1.0 / count + 1e-9
    np.testing.assert_array_equal(whole.evenly(len(whole) * 3).evenly(len(whole)).words, whole.words)


def test_encoded_pairs_are_random_and_the_same_every_time():
    pairs = Workload("", 9, np.array([2, 40], np.int32), left_padded=True, blanks=np.array([0, 3], np.int32))
    (videos, sentences), (again, _) = (pairs.encoded(8, np.dtype(np.float16)) for _ in range(2))
    np.testing.assert_array_equal(videos.values, again.values)
    assert videos.values.shape == sentences.values.shape == (2, 40, 8)
    assert videos.values.dtype == np.float16
    assert videos.left_padded and not sentences.left_padded
    assert videos.lengths.tolist() == [9, 9] and sentences.lengths.tolist() == [2, 40]
    assert sentences.blanks.tolist() == [0, 3]
    assert -1 <= videos.values.min() < -0.9 and 0.9 < videos.values.max() <= 1
    assert not np.array_equal(videos.values, sentences.values)
    with pytest.raises(ValueError, match="read-only"):
        videos.values[0] = 0
