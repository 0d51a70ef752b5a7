"""Word vectors in GloVe's text format: a word, then its numbers, separated by spaces, one word a line."""

from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.text import tokenize
from jsf.data.vocabulary import Vocabulary

MOST_WORDS = 50_000
"""Words of a file that a vocabulary takes: their vectors weigh 60 MB."""


def read_word_vectors(
    path: Path, vocabulary: Vocabulary, width: int = 300
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """The vectors of a vocabulary's words; only those are parsed, so that a file of gigabytes is read quickly.

    Returns:
        (vectors [|V|, width] float32 with zeros where a word has none, found [|V|]); row 0 is padding.

    Raises:
        JsfError: the file is missing, not text, of another width, holds a non-number, or knows none of the words.
    """
    if not path.is_file():
        raise JsfError(f"{path} does not exist.", "Expected word vectors in GloVe's text format.")
    vectors = np.zeros((len(vocabulary), width), np.float32)
    found = np.zeros(len(vocabulary), np.bool_)
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                word, _, rest = line.rstrip().partition(" ")
                if (row := vocabulary.ids.get(word)) is None or found[row]:
                    continue
                vectors[row] = _parse(path, number, rest, width)
                found[row] = True
    except UnicodeDecodeError as error:
        raise JsfError(f"{path} is not UTF-8 text: {error}.") from error
    if not found.any():
        raise JsfError(f"{path} has a vector for none of the vocabulary's {len(vocabulary.words):,} words.")
    return vectors, found


def words_with_vectors(path: Path, most: int = MOST_WORDS) -> list[str]:
    """The first words of the file, those that `tokenize` leaves whole: files begin with the most frequent ones.

    Raises:
        JsfError: the file is missing or not text.
    """
    if not path.is_file():
        raise JsfError(f"{path} does not exist.", "Expected word vectors in GloVe's text format.")
    try:
        with path.open(encoding="utf-8") as file:
            words = (line.partition(" ")[0] for line in file)
            return list(dict.fromkeys(islice((word for word in words if tokenize(word) == [word]), most)))
    except UnicodeDecodeError as error:
        raise JsfError(f"{path} is not UTF-8 text: {error}.") from error


def _parse(path: Path, number: int, text: str, width: int) -> npt.NDArray[np.float32]:
    try:
        vector = np.array(text.split(), np.float32)
    except ValueError as error:
        raise JsfError(f"{path}, line {number}: {error}.") from error
    if vector.shape != (width,) or not np.isfinite(vector).all():
        raise JsfError(f"{path}, line {number}: {len(vector)} numbers, expected {width} finite ones.")
    return vector
