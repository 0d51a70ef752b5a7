"""Models and bundles that the tests share: tiny, with weights whose scores differ well beyond rounding."""

import functools
import hashlib
import importlib.util
import json
import os
import shutil
import sys
import zlib
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest


def pytest_addoption(parser):
    """`pytest -k golden --golden DIR` holds the models to other files of the authors' numbers."""
    parser.addoption("--golden", type=Path, help="a folder of .json files, instead of tests/golden")


Shown = namedtuple("Shown", "status out err")


@pytest.fixture
def cli(monkeypatch, capfd, tmp_path):
    """Runs `jsf ...` in an empty folder; anything that would show a traceback fails the test."""
    from jsf.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JSF_BUNDLE", raising=False)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["jsf", *map(str, arguments)])
        capfd.readouterr()
        try:
            main()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return Shown(status, *capfd.readouterr())

    return run


WORDS = ("red", "blue", "circle", "square", "then", "a", "while", "rings")
SIZES = {"word_width": 6, "frame_channels": 8, "lstm": 5, "joint": 8, "refine": 7, "conv": 6, "head": (6, 9, 8)}
"""Of tiny models: no two widths that meet are the same, but that D7's is D1's, as where blanks are filled."""


def set_golden_weights(model, seed=1, gain=2.5):
    """Weights by the rule of the authors' reference numbers: seeded by each parameter's name, scaled by its fan-in."""
    import torch

    for name, value in model.state_dict().items():
        z = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(value.shape).astype(np.float32)
        if name.endswith("mean"):
            z = 0.1 * z
        elif name.endswith(("variance", "scale")):
            z = 1 + 0.1 * np.abs(z)
        elif z.ndim == 1:
            z = 0.1 * z
        elif "embedding" in name:
            z = 0.5 * z
            z[0] = 0
        else:
            z = gain * z / np.sqrt(np.prod(z.shape[1:]))
        value.copy_(torch.from_numpy(np.asarray(z, np.float32)))
    return model.eval()


@pytest.fixture(scope="session")
def official_variables():
    """task -> the variables of the authors' graph of that task, by name, most widths 1/128."""
    folder = Path(__file__).parent / "golden"

    def make(task):
        shapes = json.loads((folder / f"official-{task}.json").read_text())["variables"]
        return {name: _variable(name, [_small(width) for width in shape]) for name, shape in shapes}

    return make


def _small(width):
    """What is left of a width: 2176 -> 17, 1024 + 2176 -> 8 + 17; words 300 wide are 6 wide, and of 200 there are 9."""
    return {300: 6, 300 + 512: 6 + 4, 200: 9, 1025: 8 + 1}.get(width, width if width < 128 else width // 128)


def _variable(name, shape, gain=2.5):
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("moving_variance"):
        return 1 + 0.1 * np.abs(z)
    return 0.1 * z if z.ndim == 1 else gain * z / np.sqrt(np.prod(shape[:-1])).astype(np.float32)


@pytest.fixture(scope="session")
def golden_weights():
    """The rule as a function: golden_weights(model) sets them and returns the model in eval mode."""
    return set_golden_weights


@pytest.fixture(scope="session")
def tiny_model():
    """A JSFusion of a few thousand weights, features 12 wide, vocabulary `WORDS`; treat it as read-only."""
    from jsf.models.config import JSFusionConfig
    from jsf.models.jsfusion import JSFusion

    return set_golden_weights(JSFusion(JSFusionConfig("tiny", 12, len(WORDS) + 1, **SIZES)))


@pytest.fixture(scope="session")
def tiny_variant():
    """(preset, task, model="jsfusion", **fields) -> a checkpoint of that model at the tiny sizes; it is read-only."""
    from jsf.data.blanks import BLANK
    from jsf.data.vocabulary import Vocabulary
    from jsf.models.checkpoint import Checkpoint
    from jsf.models.jsfusion import JSFusion
    from jsf.models.presets import preset

    @functools.cache
    def build(name, task, model="jsfusion", **fields):
        vocabulary = Vocabulary((BLANK, *WORDS) if task == "fill-in-the-blank" else WORDS)
        config = replace(preset(name, task, 12, len(vocabulary), model), **SIZES, **fields)
        return Checkpoint(set_golden_weights(JSFusion(config)), vocabulary, extractor="toy 1")

    return build


@pytest.fixture(scope="session")
def tiny_embedding(golden_weights):
    """(hierarchical) -> a checkpoint of a tiny HSE or FSE that takes what the tiny JSFusion takes; it is read-only."""
    from jsf.data.vocabulary import Vocabulary
    from jsf.models.checkpoint import Checkpoint
    from jsf.models.hse.config import HSEConfig
    from jsf.models.hse.hse import HSE

    @functools.cache
    def build(hierarchical):
        config = HSEConfig("tiny", 12, len(WORDS) + 1, hierarchical, 6, 4, 9, 3, 2, word_width=5, hidden=10)
        return Checkpoint(golden_weights(HSE(config), gain=1.5), Vocabulary(WORDS), extractor="toy 1")

    return build


@pytest.fixture(scope="session")
def export_once(tmp_path_factory):
    """(checkpoint) -> its bundle's folder; treat it as read-only.

    An export takes seconds: what one worker of `pytest -n` has exported, the others wait for and take.
    """
    from filelock import FileLock

    from jsf.export.bundle import export_bundle

    run = tmp_path_factory.getbasetemp()
    shared = (run.parent if "PYTEST_XDIST_WORKER" in os.environ else run) / "exported"
    shared.mkdir(exist_ok=True)

    def export(checkpoint):
        digest = hashlib.sha256(repr((checkpoint.model.config, checkpoint.vocabulary, checkpoint.extractor)).encode())
        for value in checkpoint.model.state_dict().values():
            digest.update(value.numpy().tobytes())
        root = shared / digest.hexdigest()[:16]
        with FileLock(f"{root}.lock"):
            return root if root.exists() else export_bundle(checkpoint, root).root

    return export


@pytest.fixture(scope="session")
def variant_bundle(tiny_variant, tiny_bundle, export_once):
    """As `tiny_variant`, exported: the bundle's folder; treat it as read-only. The tiny model is the paper's."""

    def build(*which, **fields):
        return tiny_bundle if which == ("paper", "retrieval") else export_once(tiny_variant(*which, **fields))

    return build


@pytest.fixture(scope="session")
def embedding_bundle(tiny_embedding, export_once):
    """As `tiny_embedding`, exported: the bundle's folder; treat it as read-only."""
    return lambda hierarchical: export_once(tiny_embedding(hierarchical))


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model, tmp_path_factory) -> Path:
    """`best.pt` of the tiny model; treat it as read-only."""
    from jsf.data.vocabulary import Vocabulary
    from jsf.models.checkpoint import Checkpoint

    path = tmp_path_factory.mktemp("run") / "best.pt"
    Checkpoint(tiny_model, Vocabulary(WORDS), extractor="toy 1").save(path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint, export_once) -> Path:
    """The exported tiny model; treat it as read-only: copy it to change it."""
    from jsf.models.checkpoint import Checkpoint

    return export_once(Checkpoint.load(tiny_checkpoint))


@pytest.fixture(scope="session")
def reduced_bundle(tiny_bundle, tmp_path_factory) -> Path:
    """The tiny bundle with graphs of all precisions; treat it as read-only."""
    from jsf.runtime.bundle import Bundle

    spec = importlib.util.spec_from_file_location("reduced_graphs", Path(__file__).with_name("reduced_graphs.py"))
    graphs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(graphs)
    root = Path(shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("reduced") / "bundle"))
    for precision in ("fp16", "int8"):
        graphs.add_graphs(Bundle.open(root), precision)
    return root


@pytest.fixture
def traced(monkeypatch, tiny_bundle):
    """Takes graphs from the tiny bundle instead of tracing them again, which is the slow part of an export."""

    from jsf.export import graphs as export_module
    from jsf.runtime.bundle import graph_path

    def copy(name):
        def write(model, samples, path, symbolic=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(graph_path(tiny_bundle, "fp32", "matcher.buckets" if symbolic else name), path)

        return write

    for name in ("frame_encoder", "word_encoder", "matcher"):
        monkeypatch.setattr(export_module, f"write_{name}", copy(name))
