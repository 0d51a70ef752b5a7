"""Numbers that the authors' program computed: each file has a task's inputs, and the rule that makes its weights."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc):
    if "golden" in metafunc.fixturenames:
        folder = metafunc.config.getoption("--golden") or HERE
        files = sorted(folder.glob("*.json"))
        assert files, f"{folder} holds no .json files"
        metafunc.parametrize("golden", files, ids=lambda path: path.stem, indirect=True, scope="module")


@pytest.fixture(scope="module")
def golden(request):
    """A file's content, with `weights`, name -> array, and `features`, one [T, 2176] a video, made by its rule."""
    value = json.loads(request.param.read_text())
    value["weights"] = {name: weights(name, shape, value["seed"], value["gain"]) for name, shape in value["variables"]}
    random = np.random.default_rng(value["seed"])
    lengths = random.integers(3, 41, 4)
    lengths[0] = 40
    assert lengths.tolist() == value["video_lengths"]
    features = (0.5 * np.abs(random.standard_normal((4, 40, 2176)))).astype(np.float32)
    value["features"] = [video[40 - length :] for video, length in zip(features, lengths, strict=True)]
    return value


def weights(name, shape, seed, gain):
    z = np.random.default_rng([seed, zlib.crc32(name.encode())]).standard_normal(shape).astype(np.float32)
    if name.endswith("moving_mean"):
        return 0.1 * z
    if name.endswith("moving_variance"):
        return 1 + 0.1 * np.abs(z)
    if name.endswith(("beta", "bias", "biases")):
        return 0.1 * z
    if name == "word_embed":
        return 0.5 * z
    return (gain * z / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)
