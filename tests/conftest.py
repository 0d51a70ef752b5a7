"""Models and bundles that the tests share: tiny, with weights whose scores differ well beyond rounding."""

import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest

WORDS = ("red", "blue", "circle", "square", "then", "a", "while", "rings")


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
def golden_weights():
    """The rule as a function: golden_weights(model) sets them and returns the model in eval mode."""
    return set_golden_weights


@pytest.fixture(scope="session")
def tiny_model():
    """A JSFusion of a few thousand weights, features 12 wide, vocabulary `WORDS`; treat it as read-only."""
    from jsf.models.config import JSFusionConfig
    from jsf.models.jsfusion import JSFusion

    sizes = {"word_width": 6, "frame_channels": 8, "lstm": 5, "joint": 8, "conv": 6, "head": (6, 6, 6)}
    return set_golden_weights(JSFusion(JSFusionConfig("tiny", 12, len(WORDS) + 1, **sizes)))


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_model, tmp_path_factory) -> Path:
    """`best.pt` of the tiny model; treat it as read-only."""
    from jsf.data.vocabulary import Vocabulary
    from jsf.models.checkpoint import Checkpoint

    path = tmp_path_factory.mktemp("run") / "best.pt"
    Checkpoint(tiny_model, Vocabulary(WORDS), extractor="toy 1").save(path)
    return path


@pytest.fixture(scope="session")
def tiny_bundle(tiny_checkpoint, tmp_path_factory) -> Path:
    """The exported tiny model; treat it as read-only: copy it to change it."""
    from jsf.export.bundle import export_bundle
    from jsf.models.checkpoint import Checkpoint

    return export_bundle(Checkpoint.load(tiny_checkpoint), tmp_path_factory.mktemp("bundles") / "tiny").root


@pytest.fixture
def traced(monkeypatch, tiny_bundle):
    """Takes graphs from the tiny bundle instead of tracing them again, which is the slow part of an export."""

    from jsf.export import bundle as export_module
    from jsf.runtime.bundle import graph_path

    def copy(name):
        def write(model, samples, path, symbolic=False):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(graph_path(tiny_bundle, "fp32", "matcher.buckets" if symbolic else name), path)

        return write

    for name in ("frame_encoder", "word_encoder", "matcher"):
        monkeypatch.setattr(export_module, f"write_{name}", copy(name))
