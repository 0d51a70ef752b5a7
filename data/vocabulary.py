"""The vocabulary: words seen more than three times, each with an id; anything else is dropped, as in the paper."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json
from jsf.data.sequence import MAX_STEPS
from jsf.data.text import tokenize

MIN_COUNT = 4
"""A word is kept when it occurs more than three times (section 3.1)."""


@dataclass(frozen=True)
class Vocabulary:
    """Words by id, from 1; id 0 is padding."""

    words: tuple[str, ...]

    @classmethod
    def build(cls, sentences: Iterable[str], min_count: int = MIN_COUNT) -> "Vocabulary":
        """The words that occur at least `min_count` times, most frequent first.

        Raises:
            JsfError: no word occurs that often.
        """
        counts = Counter(word for sentence in sentences for word in tokenize(sentence))
        kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        if not kept:
            raise JsfError(
                f"no word occurs {min_count} times in these {counts.total():,} words: the vocabulary is empty."
            )
        return cls(tuple(kept))

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads `vocabulary.json`.

        Raises:
            JsfError: the file is missing or is not a list of distinct words.
        """
        words = read_json(path).get("words")
        if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
            raise JsfError(f"{path} has no list 'words'.")
        if len(set(words)) != len(words):
            raise JsfError(f"{path} holds a word twice.")
        return cls(tuple(words))

    def save(self, path: Path) -> None:
        """Writes `vocabulary.json`."""
        write_json(path, {"words": list(self.words)})

    def encode(self, sentence: str) -> list[int]:
        """The ids of a sentence's known words, at most 40.

        Raises:
            JsfError: the sentence is empty, or none of its words is known.
        """
        if not tokenize(sentence):
            raise JsfError(f"the sentence {sentence!r} has no words.")
        ids = self._known(sentence)
        if not ids:
            raise JsfError(
                f"none of the words of {sentence!r} is in the vocabulary of {len(self.words):,} words.",
                "Use words that the model was trained on: they are listed in vocabulary.json.",
            )
        return ids

    def encode_batch(self, sentences: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Sentences as ([S, 40] ids, zero on the right; [S] lengths).

        A sentence without a known word is one padding word: it has a score, the same as any other such sentence.
        """
        words = np.zeros((len(sentences), MAX_STEPS), np.int32)
        lengths = np.zeros(len(sentences), np.int32)
        for row, sentence in enumerate(sentences):
            ids = self._known(sentence)
            words[row, : len(ids)] = ids
            lengths[row] = max(1, len(ids))
        return words, lengths

    def distinct(self, sentences: Sequence[str]) -> tuple[list[str], npt.NDArray[np.intp]]:
        """Sentences that differ in their known words, each once, and the index of each given sentence among them.

        Scoring those alone saves work, and makes sentences that are the same to the model tie exactly.
        """
        first: dict[tuple[int, ...], tuple[int, str]] = {}
        index = [first.setdefault(tuple(self._known(text)), (len(first), text))[0] for text in sentences]
        return [text for _, text in first.values()], np.array(index, np.intp)

    def _known(self, sentence: str) -> list[int]:
        return [self.ids[word] for word in tokenize(sentence) if word in self.ids][:MAX_STEPS]

    def unknown(self, sentence: str) -> list[str]:
        """The words of a sentence that `encode` drops."""
        return [word for word in tokenize(sentence) if word not in self.ids]

    @cached_property
    def ids(self) -> dict[str, int]:
        """Word -> id, from 1."""
        return {word: i for i, word in enumerate(self.words, start=1)}

    def __len__(self) -> int:
        """The number of ids, padding included: the rows of the embedding matrix."""
        return len(self.words) + 1
