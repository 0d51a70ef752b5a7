"""What a model takes from its training data before it learns: vocabulary, features' statistics, word vectors."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from jsf.data.blanks import Blank
from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.questions import Question
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.data.word_vectors import read_word_vectors, words_with_vectors
from jsf.models.layers import Standardized
from jsf.training.recipe import CommonRecipe

FLOOR = 0.1
"""Least standard deviation that a dimension is divided by, relative to the median of all that vary."""


def prepare(
    encoder: Standardized,
    embedding: nn.Embedding,
    split: Split,
    vocabulary: Vocabulary,
    recipe: CommonRecipe,
    word_vectors: Path | None,
) -> None:
    """Standardizes the features and sets the word vectors, as the recipe says.

    Raises:
        JsfError: the word vectors cannot be read, or are not of the embedding's width.
    """
    if recipe.standardize:
        standardize(encoder, split)
    if word_vectors:
        vectors, found = read_word_vectors(word_vectors, vocabulary, embedding.embedding_dim)
        with torch.no_grad():
            embedding.weight[torch.from_numpy(found)] = torch.from_numpy(vectors[found])
    embedding.requires_grad_(not recipe.frozen_words)


def standardize(encoder: Standardized, split: Split) -> None:
    """Sets an encoder's standardization to the training videos' statistics, one video in memory at a time."""
    video_ids = split.video_ids
    origin = split.store.read(video_ids[0])[0].astype(np.float64)  # sums about it keep their digits
    count, total, squares = 0, np.zeros_like(origin), np.zeros_like(origin)
    for video_id in track(video_ids, "standardizing", len(video_ids)):
        steps = split.store.read(video_id) - origin
        count, total, squares = count + len(steps), total + steps.sum(0), squares + np.square(steps).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    varies = deviation > 1e-6
    # A dimension that hardly varies is noise: at unit variance it would overflow FP16. One that never does is zero.
    floor = FLOOR * np.median(deviation[varies]) if varies.any() else 1.0
    scale = np.where(varies, 1 / np.maximum(deviation, floor), 0.0)
    encoder.standardize(torch.from_numpy(origin + mean), torch.from_numpy(scale))


def build_vocabulary(split: Split, recipe: CommonRecipe, word_vectors: Path | None, blank: bool = False) -> Vocabulary:
    """The words of a split's sentences and, where the recipe says so, all that have a vector.

    Raises:
        JsfError: no word occurs often enough, or the recipe wants the words of a file that is not named.
    """
    vocabulary = Vocabulary.build(_sentences(split), recipe.min_count, blank=blank)
    if not recipe.open_vocabulary:
        return vocabulary
    if not word_vectors:
        raise JsfError("open_vocabulary takes its words from --word-vectors, which is not given.")
    return Vocabulary(tuple(dict.fromkeys([*vocabulary.words, *words_with_vectors(word_vectors)])))


def _sentences(split: Split) -> Iterator[str]:
    """The sentences of a split, whole."""
    for row in split.rows:
        if isinstance(row, Question):
            yield from row.options
        else:
            yield row.filled if isinstance(row, Blank) else row.sentence
