import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary

SENTENCES = ["red car"] * 4 + ["blue car"] * 3 + ["a red red dog"]


def test_a_word_is_kept_when_seen_more_than_three_times() -> None:
    assert Vocabulary.build(SENTENCES).words == ("car", "red")


def test_frequent_words_come_first_and_ties_are_alphabetical() -> None:
    assert Vocabulary.build(["b a", "c a b"], min_count=1).words == ("a", "b", "c")


def test_ids_start_at_one_because_zero_is_padding() -> None:
    vocabulary = Vocabulary(("car", "red"))
    assert vocabulary.ids == {"car": 1, "red": 2}
    assert len(vocabulary) == 3


def test_encode_drops_unknown_words_and_keeps_order() -> None:
    vocabulary = Vocabulary(("car", "red", "n't"))
    assert vocabulary.encode("The RED train, red car don't") == [2, 2, 1, 3]
    assert vocabulary.unknown("The red train") == ["the", "train"]


def test_encode_keeps_the_first_forty_known_words() -> None:
    vocabulary = Vocabulary(("car", "red"))
    assert vocabulary.encode("new " * 40 + "red " * 39 + "car car") == [2] * 39 + [1]


def test_a_batch_is_zero_on_the_right_and_a_sentence_of_unknown_words_is_one_padding_word() -> None:
    ids, lengths = Vocabulary(("car", "red")).encode_batch(["a red car", "green", "car " * 50])
    assert (ids.shape, ids.dtype, lengths.dtype) == ((3, 40), np.int32, np.int32)
    assert lengths.tolist() == [2, 1, 40]
    assert ids[0].tolist() == [2, 1] + [0] * 38
    assert not ids[1].any()
    assert ids[2].tolist() == [1] * 40


@pytest.mark.parametrize("sentence", ["", "   ", "...", "\n"])
def test_a_sentence_without_words_is_refused(sentence: str) -> None:
    with pytest.raises(JsfError, match="has no words"):
        Vocabulary(("car",)).encode(sentence)


def test_a_sentence_of_unknown_words_is_refused() -> None:
    with pytest.raises(JsfError, match="none of the words of 'green horse' is in the vocabulary of 1 words"):
        Vocabulary(("car",)).encode("green horse")


@pytest.mark.parametrize("sentences", [[], ["too rare"], [""]])
def test_an_empty_vocabulary_is_refused(sentences: list[str]) -> None:
    with pytest.raises(JsfError, match="the vocabulary is empty"):
        Vocabulary.build(sentences)


@given(words=st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_round_trip(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    Vocabulary(tuple(words)).save(path)
    assert Vocabulary.load(path) == Vocabulary(tuple(words))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "no list 'words'"),
        ({"words": []}, "no list 'words'"),
        ({"words": "car"}, "no list 'words'"),
        ({"words": ["car", 1]}, "no list 'words'"),
        ({"words": ["car", "car"]}, "a word twice"),
        (["car"], "a JSON list, expected an object"),
    ],
)
def test_a_damaged_file_is_refused(value: object, message: str, tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(value))
    with pytest.raises(JsfError, match=message):
        Vocabulary.load(path)
