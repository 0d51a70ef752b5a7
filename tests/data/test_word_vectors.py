from pathlib import Path

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.data.word_vectors import read_word_vectors

VOCABULARY = Vocabulary(("car", "red", ","))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_vectors_come_by_id_and_the_rest_is_zero(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt", ", 0.5 -1\nthe 9 9\ncar 1e-3 2\nété 9 9\n")
    vectors, found = read_word_vectors(path, VOCABULARY, width=2)
    np.testing.assert_array_equal(vectors, np.array([[0, 0], [1e-3, 2], [0, 0], [0.5, -1]], np.float32))
    assert found.tolist() == [False, True, False, True]
    assert vectors.dtype == np.float32


def test_other_words_are_not_parsed_and_the_first_of_two_vectors_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "glove.txt", ". . . 1 2\ncar 1 2\nblue broken\ncar name@domain.com 3 4\n")
    vectors, _ = read_word_vectors(path, VOCABULARY, width=2)
    assert vectors[1].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the 1 2\ncar 1 2 3\n", "line 2: 3 numbers, expected 2"),
        ("car\n", "line 1: 0 numbers, expected 2"),
        ("car 1 two\n", "line 1: could not convert"),
        ("car 1 nan\n", "line 1: 2 numbers, expected 2 finite ones"),
        ("the 1 2\n", "a vector for none of the vocabulary's 3 words"),
        ("", "a vector for none"),
    ],
)
def test_a_damaged_file_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(JsfError, match=message):
        read_word_vectors(write(tmp_path / "glove.txt", text), VOCABULARY, width=2)


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vectors.bin").write_bytes(b"3 2\ncar \xff\xfe\x00\x01")
    with pytest.raises(JsfError, match="not UTF-8 text"):
        read_word_vectors(tmp_path / "vectors.bin", VOCABULARY, width=2)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist"):
        read_word_vectors(tmp_path / "glove.txt", VOCABULARY)
