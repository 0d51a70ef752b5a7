"""A device has no PyTorch: scoring, evaluating and building engines work where it cannot be imported."""

import csv
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from jsf.data.captions import read_captions
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.evaluation.retrieval import evaluate_retrieval
from jsf.runtime.bundle import Bundle
from jsf.runtime.scorer import Scorer

ABSENT = ("torch", "lightning", "onnxscript", "pytorch_lightning", "lightning_fabric", "torchmetrics", "functorch")

JSF = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from jsf.cli import main
main()
"""

ROWS = [("v0", "a red circle"), ("v1", "a blue square then rings"), ("v2", "red rings"), ("v0", "a square")]


def jsf(*arguments):
    """Runs `jsf ...` in a process of its own that cannot import PyTorch."""
    command = [sys.executable, "-c", JSF, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def bundle(tiny_bundle, tmp_path):
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.fixture
def features(tmp_path):
    random = np.random.default_rng(0)
    for i, length in enumerate((5, 40, 61)):
        video = random.standard_normal((length, 12)).astype(np.float32)
        FeatureSequence(video, 5, "toy 1").save(tmp_path / "features" / f"v{i}.npz")
    return tmp_path / "features"


@pytest.fixture
def captions(tmp_path):
    path = tmp_path / "captions.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("video_id", "sentence"), *ROWS])
    return path


def test_pytorch_is_really_absent(tmp_path):
    found = jsf("export", "--ckpt", tmp_path / "best.pt")
    assert found.returncode == 1
    assert "this needs the Python package 'torch'" in found.stderr


def test_score(bundle, features):
    found = jsf("score", features / "v0.npz", features / "v1.npz", "a red circle", "--bundle", bundle, "--json")
    assert found.returncode == 0, found.stderr
    scores = {row["video"]: row["score"] for row in json.loads(found.stdout)["scores"]}
    scorer = Scorer.load(bundle, "cpu")
    assert scores == pytest.approx({name: scorer.score(name, "a red circle") for name in scores}, abs=1e-5)
    assert len(scores) == 2


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice"])
def test_choose(task, tiny_bundle, variant_bundle, features):
    root = tiny_bundle if task == "retrieval" else variant_bundle("official", task)
    video, sentences = features / "v0.npz", ("a red circle", "blue rings")
    found = jsf("choose", video, *sentences, "--bundle", root, "--device", "cpu", "--json")
    assert found.returncode == 0, found.stderr
    scores = {row["sentence"]: row["score"] for row in json.loads(found.stdout)["scores"]}
    scorer = Scorer.load(root, "cpu")
    assert scores == pytest.approx({text: scorer.score(video, text) for text in sentences}, abs=1e-5)


def test_fill(variant_bundle, features):
    root, video, sentence = variant_bundle("official", "fill-in-the-blank"), features / "v2.npz", "a red _____"
    found = jsf("fill", video, sentence, "--bundle", root, "--device", "cpu", "--json")
    assert found.returncode == 0, found.stderr
    words = {row["word"]: row["probability"] for row in json.loads(found.stdout)["words"]}
    assert words == pytest.approx(dict(Scorer.load(root, "cpu").fill(video, sentence)), abs=1e-5)
    assert len(words) == 5


def test_score_pairs(bundle, features, captions, tmp_path):
    out = tmp_path / "scores.csv"
    found = jsf("score", "--pairs", captions, "--features", features, "-o", out, "--bundle", bundle)
    assert found.returncode == 0, found.stderr
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["video_id"], row["sentence"]) for row in rows] == ROWS
    expected = Scorer.load(bundle, "cpu").score_pairs([(features / f"{name}.npz", text) for name, text in ROWS])
    assert [float(row["score"]) for row in rows] == pytest.approx(expected.tolist(), abs=1e-5)


def test_evaluate(bundle, features, captions):
    found = jsf("evaluate", "--features", features, "--captions", captions, "--bundle", bundle, "--json")
    assert found.returncode == 0, found.stderr
    result = evaluate_retrieval(Scorer.load(bundle, "cpu"), read_captions(captions), open_features(features))
    assert json.loads(found.stdout)["text_to_video"]["mean_rank"] == result.text_to_video.mean_rank
    assert json.loads(found.stdout)["video_to_text"]["mean_rank"] == result.video_to_text.mean_rank


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt-rtx"])
def test_build_engine_then_score_in_half_precision(bundle, features, backend):
    if backend == "tensorrt-rtx" and not find_spec("tensorrt_rtx"):
        pytest.skip("TensorRT-RTX is not installed")
    found = jsf("build-engine", "--fp16", "--backend", backend, "--bundle", bundle, "--json")
    assert found.returncode == 0, found.stderr
    engines = [Path(path) for path in json.loads(found.stdout)["engines"]]
    assert len(engines) == (3 if backend == "tensorrt-rtx" else 0)
    assert all(path.is_file() and path.with_suffix(".json").is_file() for path in engines)
    assert "fp16" in Bundle.open(bundle).manifest.hashes
    video, how = features / "v0.npz", ("--device", "cpu", "--precision", "fp16")
    found = jsf("score", video, "a red circle", "--bundle", bundle, *how)
    assert found.returncode == 0, found.stderr
    assert float(found.stdout) == pytest.approx(Scorer.load(bundle, "cpu").score(video, "a red circle"), abs=0.02)
