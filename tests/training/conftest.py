"""A toy set of scenes in order, and a preset that learns each task from it in seconds."""

import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from jsf.data.blanks import BLANK, Blank
from jsf.data.captions import Caption, read_captions
from jsf.data.questions import sample_questions
from jsf.data.sequence import FeatureSequence, load_sequence
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.models.presets import PRESETS
from jsf.models.presets import preset as model_preset
from jsf.training.inputs import build_vocabulary
from jsf.training.recipe import RECIPES, Recipe
from jsf.training.train import EXAMPLES

COLOURS = ("red", "green", "blue", "black", "white", "pink")
SILENCE = -11.512925
"""A feature that never varies, as the log-mel energy of a silent band."""

SIZES = {"word_width": 16, "frame_channels": 16, "lstm": 8, "joint": 16, "refine": 16, "conv": 16, "head": (16, 16, 16)}
MODEL = {**SIZES, "frame_dropout": 0.1, "norm_decay": 0.8}
RECIPE = Recipe(
    epochs=8,
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


@pytest.fixture(scope="session")
def sizes():
    """Settings that make a model of any preset tiny."""
    return SIZES


@pytest.fixture(scope="module")
def tiny():
    """Adds the preset "tiny" and its recipe to every task while a module's tests run; returns both."""
    with pytest.MonkeyPatch.context() as patch:
        for task in PRESETS:
            patch.setitem(PRESETS[task], "tiny", MODEL)
            patch.setitem(RECIPES[task], "tiny", RECIPE)
        yield MODEL, RECIPE


@pytest.fixture
def other_recipe(tiny, monkeypatch):
    """(fields) changes the recipe "tiny" of every task while a test runs."""

    def change(**fields):
        for recipes in RECIPES.values():
            monkeypatch.setitem(recipes, "tiny", replace(tiny[1], **fields))

    return change


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory):
    """A folder of features/ and a captions table a split: clips of one colour after another.

    60 clips train, of which the first has a second caption, 15 validate and 15 test.
    """
    root, rng = tmp_path_factory.mktemp("toy"), np.random.default_rng(0)
    colours = np.hstack([np.full((6, 1), SILENCE), np.eye(6)]).astype(np.float32)
    orders = list(itertools.permutations(range(6), 2))
    for split, pairs in (("train", orders * 2), ("val", orders[::2]), ("test", orders[1::2])):
        rows = ["video_id,sentence"]
        for i, (first, second) in enumerate(pairs):
            features = np.repeat(colours[[first, second]], rng.integers(2, 6, 2), axis=0)
            features[:, 1:] += 0.1 * rng.standard_normal((len(features), 6))
            FeatureSequence(features, 5.0, "toy 1").save(root / "features" / f"{split}{i}.npz")
            rows.append(f"{split}{i},{COLOURS[first]} then {COLOURS[second]}")
        if split == "train":
            rows.append(f"train0,first {COLOURS[0]} and {COLOURS[1]} later")
        (root / f"{split}.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="session")
def toy(toy_root):
    """The two splits that training takes, of captions."""
    return splits(toy_root)


def splits(root):
    store = open_features(root / "features")
    return {
        "split": Split(store, read_captions(root / "train.csv")),
        "val": Split(store, read_captions(root / "val.csv")),
    }


@pytest.fixture(scope="session")
def long_root(toy_root, tmp_path_factory):
    """As `toy_root`, each clip twelve times as long: longer than the 40 steps that are kept."""
    root = tmp_path_factory.mktemp("long")
    for file in sorted((toy_root / "features").iterdir()):
        clip = load_sequence(file)
        FeatureSequence(np.repeat(clip.features, 12, axis=0), 60.0, "toy 1").save(root / "features" / file.name)
    for split in ("train", "val"):
        shutil.copy(toy_root / f"{split}.csv", root)
    return root


@pytest.fixture(scope="session")
def long_toy(long_root):
    """The two splits of `long_root`."""
    return splits(long_root)


@pytest.fixture(scope="session")
def toy_questions(toy):
    """The same with questions of five options."""
    return {name: Split(part.store, sample_questions(list(part.rows), seed=1)) for name, part in toy.items()}


@pytest.fixture(scope="session")
def toy_blanks(toy):
    """The same with the second colour blanked."""

    def blank(caption):
        first, _, answer = caption.sentence.split()[:3]
        return Blank(caption.video_id, f"{first} then {BLANK}", answer)

    rows = {name: [row for row in part.rows if "then" in row.sentence] for name, part in toy.items()}
    return {name: Split(part.store, list(map(blank, rows[name]))) for name, part in toy.items()}


@pytest.fixture(scope="session")
def varied(tmp_path_factory):
    """A split of 23 captions of 9 videos, whose lengths are 1, 6, 11 ... 41 steps.

    A frame is the number of its step and the number of its video.
    """
    folder, rng = tmp_path_factory.mktemp("features"), np.random.default_rng(0)
    for i in range(9):
        steps = np.arange(1 + 5 * i, dtype=np.float32)
        FeatureSequence(np.stack([steps, np.full_like(steps, i)], axis=1)).save(folder / f"v{i}.npz")
    words = [rng.choice(list("abcdef"), rng.integers(1, 7)) for _ in range(23)]
    return Split(open_features(folder), [Caption(f"v{i % 9}", " ".join(words[i])) for i in range(23)])


@pytest.fixture(scope="session")
def examples_of():
    """(task, split, preset, **fields of the recipe) -> its examples, with a vocabulary of its own sentences."""

    def build(task, split, preset="paper", **fields):
        vocabulary = build_vocabulary(split, RECIPE, None, blank=task == "fill-in-the-blank")
        config = model_preset(preset, task, split.store.width(split.video_ids), len(vocabulary))
        return EXAMPLES[task](split, vocabulary, config, replace(RECIPE, **fields))

    return build


@pytest.fixture(scope="session")
def log_of():
    """(folder of a run) -> the lines of its log."""
    return lambda out: [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
