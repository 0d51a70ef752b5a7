from pathlib import Path

import pytest

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.data.word_list import read_word_list


@pytest.mark.parametrize("end", ["\n", ""])
@pytest.mark.parametrize("padding", ["<pad>\n", "\n", "red\n", "two words\n", ""])
def test_the_padding_has_a_line_or_none(padding: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"{padding}red\nnaïve\n's{end}", encoding="utf-8")
    assert read_word_list(path, rows=4) == Vocabulary(("red", "naïve", "'s"))


@pytest.mark.parametrize("name", ["<BLANK>", BLANK, "red", "", "the blank"])
@pytest.mark.parametrize("padding", ["<pad>\n", ""])
def test_the_blank_is_called_what_it_is_called_here(name: str, padding: str, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(f"{padding}{name}\nred\nblue\n")
    assert read_word_list(path, rows=4, blank=True) == Vocabulary((BLANK, "red", "blue"))


def test_line_ends_of_other_systems_are_read(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(b"\xef\xbb\xbfred\r\nblue\r\n")
    assert read_word_list(tmp_path / "words.txt", rows=3).words == ("red", "blue")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"red\nblue\n", "words.txt has 2 lines, expected 5: one for each row of the checkpoint's word vectors, or 4"),
        (b"\nred\nblue\na\nthe\nan\n", "words.txt has 6 lines, expected 5"),
        (b"", "words.txt has 0 lines, expected 5"),
        (b"red\nblue\n\nthe\n", "words.txt, line 3: '' is not one word"),
        (b"<pad>\nred\nblue\n\nthe\n", "words.txt, line 4: '' is not one word"),
        (b"red 17\nblue\na\nthe\n", "words.txt, line 1: 'red 17' is not one word"),
        (b"red\nblue\nred\nblue\n", "words.txt holds 2 words twice, the first is 'red'"),
        (b"red\nblue\n\xff\nthe\n", "words.txt is not text in UTF-8"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(content)
    with pytest.raises(JsfError, match=message) as refusal:
        read_word_list(tmp_path / "words.txt", rows=5)
    assert refusal.value.fix == "Expected one word a line, in the order of the ids."


def test_a_blank_that_is_a_word_too_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text(f"<BLANK>\n{BLANK}\nred\n")
    with pytest.raises(JsfError, match=f"holds 1 words twice, the first is '{BLANK}'"):
        read_word_list(tmp_path / "words.txt", rows=4, blank=True)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match=r"gone\.txt does not exist"):
        read_word_list(tmp_path / "gone.txt", rows=4)
    with pytest.raises(JsfError, match="is a folder"):
        read_word_list(tmp_path, rows=4)
