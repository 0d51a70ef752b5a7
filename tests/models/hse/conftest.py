"""Tiny models of every form, and batches of mixed lengths for them."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from jsf.models.hse.config import HSEConfig
from jsf.models.hse.hse import HSE

SIZES = {"frames": 6, "words": 4, "text_words": 7, "clips": 3, "segments": 2, "word_width": 5, "hidden": 8}
"""No two widths that meet are the same; features are 6 wide, and there are 9 word ids."""

LENGTHS, TEXT_LENGTHS = (6, 1, 4, 5), (7, 1, 3, 5)
PART_LENGTHS = ((6, 1, 3), (1, 0, 0), (2, 5, 0), (1, 1, 1))
SENTENCE_LENGTHS = ((4, 1, 3), (1, 0, 0), (2, 4, 0), (1, 1, 1))


class Sides(NamedTuple):
    """The inputs of the video encoder and of the text encoder."""

    videos: tuple[torch.Tensor, ...]
    texts: tuple[torch.Tensor, ...]


@pytest.fixture(scope="session")
def model_of(golden_weights):
    """(hierarchical, pool="max", bidirectional=False, **fields) -> a tiny model in eval mode."""

    def build(hierarchical, pool="max", bidirectional=False, **fields):
        sizes = {**SIZES, **fields}
        config = HSEConfig("tiny", 6, 9, hierarchical, pool=pool, bidirectional=bidirectional, **sizes)
        return golden_weights(HSE(config), gain=1.5)

    return build


@pytest.fixture(scope="session")
def batch_of():
    """(hierarchical, seed=0) -> four videos and four texts, zero where they are padded."""

    def draw(hierarchical, seed=0):
        random = np.random.default_rng(seed)
        count, places = len(LENGTHS), SIZES["clips"]

        def masked(values, lengths):
            there = np.arange(values.shape[lengths.ndim]) < lengths[..., None]
            return values * there.reshape(*there.shape, *[1] * (values.ndim - there.ndim))

        def features(lengths, *shape):
            return masked(random.standard_normal((*shape, 6, 6)).astype(np.float32), lengths), lengths

        def words(lengths, steps, *shape):
            return masked(random.integers(1, 9, (*shape, steps), np.int32), lengths), lengths

        one, two = (np.array(lengths, np.int32) for lengths in (LENGTHS, TEXT_LENGTHS))
        clips, sentences = (np.array(lengths, np.int32) for lengths in (PART_LENGTHS, SENTENCE_LENGTHS))
        videos, texts = features(one, count), words(two, SIZES["text_words"], count)
        if hierarchical:
            videos += features(clips, count, places)
            texts += words(sentences, SIZES["words"], count, places)
        return Sides(*(tuple(map(torch.from_numpy, side)) for side in (videos, texts)))

    return draw
