"""A toy set of paragraphs in which the order of clips and of colours within them matters, and settings to learn it."""

import itertools

import numpy as np
import pytest

from jsf.data.paragraphs import Paragraph
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.store import open_features

SCENES = tuple(itertools.permutations(("red", "green", "blue"), 2))
LEARNS = {
    "hidden": 24,
    "word_width": 12,
    "frames": 12,
    "clips": 3,
    "segments": 2,
    "batch": 15,
    "learning_rate": 1e-2,
    "anneal": True,
    "standardize": True,
}


@pytest.fixture(scope="session")
def learns():
    """Settings of a tiny model and of a recipe with which it learns in seconds."""
    return LEARNS


@pytest.fixture(scope="session")
def stories(tmp_path_factory):
    """Splits of all 30 ordered pairs of different scenes, twice to train: a clip shows one colour after another."""
    root, rng, splits = tmp_path_factory.mktemp("stories"), np.random.default_rng(0), {}
    colours = dict(zip(("red", "green", "blue"), np.eye(3), strict=True))
    for split, times in (("split", 2), ("val", 1)):
        rows = []
        for i, story in enumerate([*itertools.permutations(SCENES, 2)] * times):
            lengths = rng.integers(1, 4, 4)
            frames = np.repeat([colours[name] for scene in story for name in scene], lengths, axis=0)
            frames = frames + 0.1 * rng.standard_normal(frames.shape)
            FeatureSequence(frames.astype(np.float32), 5.0, "toy 1").save(root / f"{split}{i}.npz")
            border = float(lengths[:2].sum() / lengths.sum())
            sentences = tuple(f"{first} then {second}." for first, second in story)
            rows.append(Paragraph(f"{split}{i}", sentences, ((0.0, border), (border, 1.0))))
        splits[split] = rows
    store = open_features(root)
    return {name: Split(store, rows) for name, rows in splits.items()}
