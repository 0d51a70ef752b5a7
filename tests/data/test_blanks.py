import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.blanks import BLANK, FUNCTION_WORDS, Blank, make_blanks, read_blanks, split_at_blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.text import tokenize

TABLE = "key\tvid_key\tsentence\tblank_sentence\tanswer\n"

words = st.text("abcdefg", min_size=1, max_size=5)


@given(rows=st.lists(st.tuples(words, st.lists(words), words, st.lists(words)), min_size=1, max_size=6))
def test_round_trip_through_the_authors_table(
    rows: list[tuple[str, list[str], str, list[str]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("blanks") / "test.csv"
    blanks = [Blank(video, " ".join([*left, BLANK, *right]), answer) for video, left, answer, right in rows]
    lines = [f"FIB\t{row.video_id}\t{row.filled}\t{row.sentence}\t{row.answer}\n" for row in blanks]
    path.write_text(TABLE + "".join(lines))
    assert read_blanks(path) == blanks


def test_a_comma_separated_table_without_the_whole_sentence(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text('video_id,blank_sentence,answer\nv,"He, she and __ go.",IT\n')
    assert read_blanks(path) == [Blank("v", "He, she and _____ go.", "it")]


@pytest.mark.parametrize("blank", ["__", "___", "_____", "________"])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("He ", "."), ("He", "her"), ("snake_case ", " _x")])
def test_two_or_more_underscores_are_the_blank(blank: str, before: str, after: str) -> None:
    assert split_at_blank(before + blank + after) == (before, after)


@pytest.mark.parametrize(
    ("sentence", "message"),
    [
        ("He goes", "'He goes' has no blank, expected one"),
        ("__ and __", "has 2 blanks, expected one"),
        ("", "no blank"),
    ],
)
def test_no_blank_or_several_are_refused(sentence: str, message: str) -> None:
    with pytest.raises(JsfError, match=message) as caught:
        split_at_blank(sentence)
    assert BLANK in caught.value.fix


def test_of_an_answer_of_several_words_the_first_counts(tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text(TABLE + "1\tv\tHe doesn't go.\tHe _____ go.\tDoesn't\n")
    assert read_blanks(path) == [Blank("v", "He _____ go.", "does")]
    assert read_blanks(path)[0].filled == "He does go."


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("", "a header and no rows"),
        ("1\tv\tHe goes\tHe goes\tgoes\n", "line 2: 'He goes' has no blank"),
        ("1\tv\tHe goes\t___ ___\tgoes\n", "line 2: '___ ___' has 2 blanks"),
        ("1\tv\tHe goes\tHe _____\t\n", "line 2: 'answer' is empty"),
        ("1\tv\tHe goes\tHe _____\t—\n", "line 2: 'answer' is '—', expected a word"),
        ("1\tv\tHe goes\tHe _____\t?\n", r"line 2: 'answer' is '\?', expected a word"),
        ("1\tv\tHe goes\tHe _____\tgo\n", "line 2: the answer 'go' is not in the sentence 'He goes'"),
        ("1\tv\tHe goes\t\tgoes\n", "line 2: 'blank_sentence' is empty"),
        ("1\t\tHe goes\tHe _____\tgoes\n", "line 2: 'vid_key' is empty"),
    ],
)
def test_a_damaged_table_is_refused(row: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "test.csv"
    path.write_text(TABLE + row, encoding="utf-8")
    with pytest.raises(JsfError, match=message) as caught:
        read_blanks(path)
    assert str(path) in caught.value.message


CAPTIONS = [Caption(f"v{i}", f"The man, who is not a dog, doesn't see {i} red cars on video {i}") for i in range(40)]
KNOWN = {"man", "dog", "see", "red", "the", "does", "n't", "40"}


@given(seed=st.integers(0, 99), order=st.randoms(use_true_random=False))
def test_made_blanks_are_known_content_words_whatever_the_order(seed: int, order: random.Random) -> None:
    blanks = make_blanks(CAPTIONS, KNOWN, seed)
    for caption, blank in zip(CAPTIONS, blanks, strict=True):
        assert blank.video_id == caption.video_id
        assert tokenize(blank.filled) == tokenize(caption.sentence)
        assert blank.sentence.count("_") == len(BLANK)
        assert blank.answer in KNOWN - FUNCTION_WORDS - {"n't"}
    shuffled = CAPTIONS[:]
    order.shuffle(shuffled)
    assert sorted(make_blanks(shuffled, KNOWN, seed), key=str) == sorted(blanks, key=str)


def test_the_choice_is_spread_over_the_words_and_depends_on_the_seed() -> None:
    answers = [blank.answer for blank in make_blanks(CAPTIONS, KNOWN)]
    assert set(answers) == {"man", "dog", "see", "red"}
    assert make_blanks(CAPTIONS, KNOWN, seed=1) != make_blanks(CAPTIONS, KNOWN)


def test_a_caption_without_a_known_content_word_is_left_out() -> None:
    captions = [Caption("v", "it is on the"), Caption("w", "a green horse"), Caption("x", "a dog __ dog")]
    assert make_blanks(captions, {"the", "dog"}) in (
        [Blank("x", "a _____ dog", "dog")],
        [Blank("x", "a dog _____", "dog")],
    )
    with pytest.raises(JsfError, match="none of 2 captions has a content word"):
        make_blanks(captions[:2], {"the", "dog"})


def test_the_function_words_are_words_to_tokenize() -> None:
    assert all(tokenize(word) == [word] and word.isalpha() for word in FUNCTION_WORDS)
