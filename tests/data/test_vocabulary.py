import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.vocabulary import BLANK_ID, Vocabulary

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


FIB = Vocabulary((BLANK, "car", "red"))


def test_a_vocabulary_for_blanks_has_the_blank_first() -> None:
    assert Vocabulary.build(SENTENCES, blank=True).words == (BLANK, "car", "red")
    assert BLANK_ID == FIB.ids[BLANK] == 1
    assert FIB.encode("a _____ red car") == [3, 2]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("a red __ car.", ([3, 1, 2], 1)),
        ("_____", ([1], 0)),
        ("green____train", ([1], 0)),
        ("red _____" + " car" * 60, ([3, 1] + [2] * 38, 1)),
        ("red " * 39 + "_____ car", ([3] * 39 + [1], 39)),
        ("car" + " red" * 39 + " _____ car", ([3] * 39 + [1], 39)),
        ("car " * 60 + "red _____ car", ([2] * 38 + [3, 1], 39)),
        ("green " * 60 + "red _____ car", ([3, 1, 2], 1)),
    ],
)
def test_encode_blank(sentence: str, expected: tuple[list[int], int]) -> None:
    assert FIB.encode_blank(sentence) == expected


parts = st.lists(st.sampled_from(["car", "red", "green", "n't", "!"]), max_size=100)


@given(left=parts, right=parts, blank=st.integers(2, 9))
def test_the_window_holds_the_blank_and_its_neighbours(left: list[str], right: list[str], blank: int) -> None:
    ids, position = FIB.encode_blank(" ".join([*left, "_" * blank, *right]))
    known = [[FIB.ids[word] for word in part if word in FIB.ids] for part in (left, right)]
    whole = [*known[0], BLANK_ID, *known[1]]
    assert ids[position] == BLANK_ID and ids.count(BLANK_ID) == 1
    assert len(ids) == min(40, len(whole))
    start = len(known[0]) - position
    assert ids == whole[start : start + len(ids)]
    assert start == 0 or position == 39


@given(st.lists(st.tuples(parts, parts), max_size=4))
def test_encode_blanks_is_encode_blank_of_each(sentences: list[tuple[list[str], list[str]]]) -> None:
    texts = [" ".join([*left, BLANK, *right]) for left, right in sentences]
    words, lengths, positions = FIB.encode_blanks(texts)
    assert words.shape == (len(texts), 40)
    assert {words.dtype, lengths.dtype, positions.dtype} == {np.dtype(np.int32)}
    for row, length, position, text in zip(words, lengths, positions, texts, strict=True):
        assert (row[:length].tolist(), position) == FIB.encode_blank(text)
        assert not row[length:].any()


@pytest.mark.parametrize(
    ("vocabulary", "sentence", "message"),
    [
        (FIB, "a red car", "'a red car' has no blank"),
        (FIB, "_____ red _____", "has 2 blanks"),
        (Vocabulary(("car", "red")), "a _____ car", "not trained for fill-in-the-blank"),
        (Vocabulary(("car", BLANK)), "a _____ car", "not trained for fill-in-the-blank"),
    ],
)
def test_what_cannot_be_filled_is_refused(vocabulary: Vocabulary, sentence: str, message: str) -> None:
    with pytest.raises(JsfError, match=message):
        vocabulary.encode_blank(sentence)
    with pytest.raises(JsfError, match=message):
        vocabulary.encode_blanks(["a _____", sentence])


def test_the_most_probable_words_are_neither_padding_nor_the_blank() -> None:
    vocabulary = Vocabulary((BLANK, "red", "blue", "a"))
    scores = np.float32([90, 80, 1, 3, 2])  # of padding, the blank and the three words
    found = vocabulary.most_probable(scores, top=2)
    assert [word for word, _ in found] == ["blue", "a"]
    shares = np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum()
    assert [probability for _, probability in found] == pytest.approx([shares[1], shares[2]])


@given(scores=arrays(np.float32, 12, elements=st.floats(-1e4, 1e4, width=32)), top=st.integers(1, 20))
def test_probabilities_fall_and_sum_to_one(scores: np.ndarray, top: int) -> None:
    vocabulary = Vocabulary((BLANK, *"abcdefghij"))
    words, shares = zip(*vocabulary.most_probable(scores, top), strict=True)
    assert len(set(words)) == min(top, 10)
    assert list(shares) == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-9
    assert [scores[vocabulary.ids[word]] for word in words] == sorted(scores[2:], reverse=True)[:top]
    if top >= 10:
        assert sum(shares) == pytest.approx(1)
