"""Word lists: the vocabulary of a checkpoint that does not carry its own."""

from collections import Counter
from pathlib import Path

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.vocabulary import BLANK_ID, Vocabulary

_EXPECTED = "Expected one word a line, in the order of the ids."


def read_word_list(path: Path, rows: int, blank: bool = False) -> Vocabulary:
    """Reads a text file with one word a line, in the order of their ids.

    Args:
        path: the file. It has as many lines as there are ids, the first for the padding, whatever it says; or one
            fewer, for the ids from 1.
        rows: the number of ids, padding included: the rows of the embedding matrix.
        blank: id 1 is the blank, whatever it is called in the file.

    Raises:
        JsfError: the file is missing or not text, has another number of lines, a line that is not one word, or a word
            twice.
    """
    if not path.is_file():
        raise JsfError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.", _EXPECTED)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise JsfError(f"{path} is not text in UTF-8: {error}.", _EXPECTED) from error
    if not lines[-1]:
        lines.pop()  # the last line ends too
    if len(lines) not in (rows - 1, rows):
        raise JsfError(
            f"{path} has {len(lines):,} lines, expected {rows:,}: one for each row of the checkpoint's word vectors, "
            f"or {rows - 1:,} without the padding.",
            _EXPECTED,
        )
    padded = len(lines) == rows
    words = [line.strip() for line in lines[padded:]]
    if blank:
        words[BLANK_ID - 1] = BLANK
    for number, word in enumerate(words, start=1 + padded):
        if len(word.split()) != 1:
            raise JsfError(f"{path}, line {number}: {word!r} is not one word.", _EXPECTED)
    if twice := [word for word, count in Counter(words).items() if count > 1]:
        raise JsfError(f"{path} holds {len(twice):,} words twice, the first is '{twice[0]}'.", _EXPECTED)
    return Vocabulary(tuple(words))
