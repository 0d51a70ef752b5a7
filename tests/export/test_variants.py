"""Models of every kind go the whole way: exported with parity, in half precision, as engines."""

import shutil

import onnx
import pytest

from jsf.calibration.fp16 import add_fp16
from jsf.export.engine import build_engines
from jsf.runtime.backends.sidecar import EngineSidecar
from jsf.runtime.bundle import GRAPHS, MAPS, RUNNING, Bundle, graph_path

VARIANTS = [
    ("official", "multiple-choice"),
    ("official", "fill-in-the-blank"),
    ("paper", "fill-in-the-blank"),
    ("paper", "retrieval", "lstm-fusion"),
]


@pytest.fixture(params=VARIANTS, ids=", ".join)
def bundle(request, variant_bundle):
    return Bundle.open(variant_bundle(*request.param))


def test_every_graph_has_parity(bundle):
    assert set(bundle.manifest.parity) == set(GRAPHS)
    assert all(0 <= error < 1e-4 for error in bundle.manifest.parity.values())


def test_the_manifest_says_what_the_model_takes(bundle):
    manifest = bundle.manifest
    assert manifest.left_padded == manifest.preset.startswith("official")
    assert len(bundle.vocabulary) == (10 if manifest.task == "fill-in-the-blank" else 9)


@pytest.mark.parametrize("name", ["matcher", "matcher.buckets"])
def test_what_fills_blanks_takes_their_positions_and_gives_a_score_for_every_word(bundle, name):
    graph = onnx.load(graph_path(bundle.root, "fp32", name)).graph
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    fills = bundle.manifest.task == "fill-in-the-blank"
    assert shapes.get("blanks") == (["S"] if fills else None)
    assert shapes["scores"] == (["P", 10] if fills else ["P"])
    named = {output for node in graph.node for output in node.output}
    assert set(MAPS) & named == (set() if "lstm-fusion" in bundle.manifest.preset else set(MAPS))


@pytest.fixture
def half(bundle, tmp_path):
    return Bundle.open(shutil.copytree(bundle.root, tmp_path / "bundle"))


def test_half_precision_costs_little_and_builds_as_engines(half):
    pytest.importorskip("tensorrt_rtx")
    loss = add_fp16(half)
    engines = build_engines(half, "fp16", "tensorrt-rtx")
    assert [engine.stem for engine in engines] == list(RUNNING)
    matcher = EngineSidecar.read(engines[2].with_suffix(".json"))
    assert matcher.layers["float16"] > 2
    if half.manifest.task == "fill-in-the-blank":
        assert matcher.inputs["blanks"] == {"dtype": "int32", "shape": ["S"]}
        assert matcher.outputs["scores"] == {"dtype": "float32", "shape": ["?", 10]}
    assert loss["pairs"] >= 64 and loss["fp32_nodes"] == {}
    assert 0 < loss["score_error_mean"] < 0.001 * loss["score_range"]
    assert loss["score_error_mean"] <= loss["score_error_max"] < 0.02 * loss["score_range"]
