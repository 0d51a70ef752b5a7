"""The vocabulary: words seen more than three times, each with an id; anything else is dropped, as in the paper."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.blanks import BLANK, split_at_blank
from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json
from jsf.data.sequence import MAX_STEPS
from jsf.data.text import tokenize

BLANK_ID = 1
"""The id of `BLANK` in a vocabulary for fill-in-the-blank, as in the authors' code."""

MIN_COUNT = 4
"""A word is kept when it occurs more than three times (section 3.1)."""


@dataclass(frozen=True)
class Vocabulary:
    """Words by id, from 1; id 0 is padding."""

    words: tuple[str, ...]

    @classmethod
    def build(cls, sentences: Iterable[str], min_count: int = MIN_COUNT, blank: bool = False) -> "Vocabulary":
        """The words that occur at least `min_count` times, most frequent first.

        Args:
            sentences: of the training split; for fill-in-the-blank the whole ones, answers included.
            min_count: how often a word must occur.
            blank: put `BLANK` before the words, with the id `BLANK_ID`: for fill-in-the-blank.

        Raises:
            JsfError: no word occurs that often.
        """
        counts = Counter(word for sentence in sentences for word in tokenize(sentence))
        kept = sorted((word for word, count in counts.items() if count >= min_count), key=lambda w: (-counts[w], w))
        if not kept:
            raise JsfError(
                f"no word occurs {min_count} times in these {counts.total():,} words: the vocabulary is empty.",
                "Train on more sentences, or keep rarer words: --set min_count=1.",
            )
        return cls((BLANK, *kept) if blank else tuple(kept))

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

    def encode_batch(
        self, sentences: Sequence[str], steps: int = MAX_STEPS
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Sentences as ([S, steps] ids, zero on the right; [S] lengths); words past the last step are dropped.

        A sentence without a known word is one padding word: it has a score, the same as any other such sentence.
        """
        words = np.zeros((len(sentences), steps), np.int32)
        lengths = np.zeros(len(sentences), np.int32)
        for row, sentence in enumerate(sentences):
            ids = self._all_known(sentence)[:steps]
            words[row, : len(ids)] = ids
            lengths[row] = max(1, len(ids))
        return words, lengths

    def encode_blank(self, sentence: str) -> tuple[list[int], int]:
        """The ids of a sentence with one blank, and the blank's position among them.

        Of more than 40, those kept are the first 40, or the 40 that end with the blank where it comes later.

        Raises:
            JsfError: the sentence has no blank or several, or this vocabulary is not for fill-in-the-blank.
        """
        if self.ids.get(BLANK) != BLANK_ID:
            raise JsfError(
                "this model was not trained for fill-in-the-blank: its vocabulary has no blank.",
                "Train one with: jsf train --task fill-in-the-blank",
            )
        left, right = (self._all_known(part) for part in split_at_blank(sentence))
        start = max(0, len(left) - MAX_STEPS + 1)
        return [*left, BLANK_ID, *right][start : start + MAX_STEPS], len(left) - start

    def encode_blanks(
        self, sentences: Sequence[str]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Sentences with one blank each as ([S, 40] ids, zero on the right; [S] lengths; [S] positions of the blank).

        Raises:
            JsfError: as `encode_blank`.
        """
        words = np.zeros((len(sentences), MAX_STEPS), np.int32)
        lengths, positions = np.zeros(len(sentences), np.int32), np.zeros(len(sentences), np.int32)
        for row, sentence in enumerate(sentences):
            ids, positions[row] = self.encode_blank(sentence)
            words[row, : len(ids)] = ids
            lengths[row] = len(ids)
        return words, lengths, positions

    def most_probable(self, scores: npt.NDArray[np.floating], top: int) -> list[tuple[str, float]]:
        """The `top` best words for a blank by their scores [|V|], best first, with their probabilities.

        The probabilities are a softmax over all words that can fill a blank: neither padding nor the blank itself.
        """
        logits = scores[BLANK_ID + 1 :].astype(np.float64)
        weights = np.exp(logits - logits.max())
        best = np.argsort(-logits, kind="stable")[:top]
        return [(self.words[i + BLANK_ID], float(weights[i] / weights.sum())) for i in best]

    def distinct(self, sentences: Sequence[str]) -> tuple[list[str], npt.NDArray[np.intp]]:
        """Sentences that differ in their known words, each once, and the index of each given sentence among them.

        Scoring those alone saves work, and makes sentences that are the same to the model tie exactly.
        """
        first: dict[tuple[int, ...], tuple[int, str]] = {}
        index = [first.setdefault(tuple(self._known(text)), (len(first), text))[0] for text in sentences]
        return [text for _, text in first.values()], np.array(index, np.intp)

    def _known(self, sentence: str) -> list[int]:
        return self._all_known(sentence)[:MAX_STEPS]

    def _all_known(self, sentence: str) -> list[int]:
        return [self.ids[word] for word in tokenize(sentence) if word in self.ids]

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
