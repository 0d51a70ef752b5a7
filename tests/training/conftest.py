"""A toy set of scenes in order, and a preset that learns it in seconds."""

import itertools

import numpy as np
import pytest

from jsf.data.sequence import FeatureSequence
from jsf.models.config import PRESETS, JSFusionConfig
from jsf.training.recipe import RECIPES, Recipe

COLOURS = ("red", "green", "blue", "black", "white", "pink")
SILENCE = -11.512925
"""A feature that never varies, as the log-mel energy of a silent band."""


@pytest.fixture(scope="module")
def tiny():
    """Adds the preset "tiny" and its recipe while a module's tests run; returns both."""
    sizes = {"word_width": 16, "frame_channels": 16, "lstm": 8, "joint": 16, "conv": 16, "head": (16, 16, 16)}
    preset = JSFusionConfig("tiny", 0, 0, **sizes, dropout=0.1, norm_decay=0.8)
    recipe = Recipe(
        batch=8,
        neighbours=1,
        learning_rate=3e-3,
        anneal=True,
        margin=1.0,
        both_directions=True,
        l2=0.0,
        standardize=True,
        min_count=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "tiny", preset)
        patch.setitem(RECIPES, "tiny", recipe)
        yield preset, recipe


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """The four paths that training takes: clips of one colour after another, 60 to train and 15 to validate.

    The first training clip has a second caption.
    """
    root, rng = tmp_path_factory.mktemp("toy"), np.random.default_rng(0)
    colours = np.hstack([np.full((6, 1), SILENCE), np.eye(6)]).astype(np.float32)
    orders = list(itertools.permutations(range(6), 2))
    for split, pairs in (("train", orders * 2), ("val", orders[::2])):
        rows = ["video_id,sentence"]
        for i, (first, second) in enumerate(pairs):
            features = np.repeat(colours[[first, second]], rng.integers(2, 6, 2), axis=0)
            features[:, 1:] += 0.1 * rng.standard_normal((len(features), 6))
            FeatureSequence(features, 5.0, "toy 1").save(root / split / f"clip{i}.npz")
            rows.append(f"clip{i},{COLOURS[first]} then {COLOURS[second]}")
        if split == "train":
            rows.append(f"clip0,first {COLOURS[0]} and {COLOURS[1]} later")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return {
        "features": root / "train",
        "captions": root / "train.csv",
        "val_features": root / "val",
        "val_captions": root / "val.csv",
    }
