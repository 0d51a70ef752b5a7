"""Embeddings exported: both graphs compute what PyTorch does, in FP16 too, and engines are built of them."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch

from jsf.calibration.fp16 import add_fp16
from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.vocabulary import Vocabulary
from jsf.export import hse_graphs
from jsf.export.bundle import export_bundle
from jsf.export.engine import build_engines
from jsf.export.tracing import LAYERS
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.config import HSEConfig
from jsf.models.hse.hse import HSE
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.backends.sidecar import EngineSidecar
from jsf.runtime.bundle import EMBEDDING_GRAPHS, Bundle
from jsf.runtime.embedder import Embedder
from jsf.training.hse.embedder import CheckpointEmbedder

WORDS = ("red", "blue", "circle", "square", "then", "a")
DEEP = HSEConfig("tiny", 7, 7, True, 6, 4, 9, 3, 2, word_width=5, hidden=8, pool="attention", bidirectional=True)
FLAT = replace(DEEP, hierarchical=False, pool="last")


@pytest.fixture(scope="module")
def checkpoint_of(golden_weights):
    def build(config):
        return Checkpoint(golden_weights(HSE(config), gain=1.5), Vocabulary(WORDS), extractor="toy 1")

    return build


@pytest.fixture(scope="module", params=[DEEP, FLAT], ids=lambda config: config.model)
def exported(request, checkpoint_of, tmp_path_factory):
    """A checkpoint and its bundle, with FP16 graphs; treat both as read-only."""
    checkpoint = checkpoint_of(request.param)
    bundle = export_bundle(checkpoint, tmp_path_factory.mktemp("exported") / "bundle")
    add_fp16(bundle)
    return checkpoint, Bundle.open(bundle.root)


@pytest.fixture(scope="module")
def queries():
    random = np.random.default_rng(0)

    def features(length):
        return random.standard_normal((length, 7)).astype(np.float32)

    videos = [features(1), features(6), features(40), Clips(features(9), [features(4), features(1), features(8)])]
    texts = ["red", "a red circle. then a blue square.", ["a circle", "red"], "unknown words", ["a then"] * 5]
    return videos, texts


def test_the_manifest_tells_what_the_model_takes(exported):
    checkpoint, bundle = exported
    config, manifest = checkpoint.hse.config, bundle.manifest
    assert (manifest.model, manifest.task, manifest.preset) == (config.model, "embedding", "tiny")
    assert (manifest.feature_width, manifest.joint_width, manifest.extractor) == (7, 8, "toy 1")
    assert manifest.limits == {"frames": 6, "words": 4, "text_words": 9, "clips": 3, "segments": 2}
    assert manifest.graphs == manifest.running_graphs == EMBEDDING_GRAPHS
    assert set(manifest.parity) == set(EMBEDDING_GRAPHS)
    assert all(0 <= error < 1e-4 for error in manifest.parity.values())


def test_the_graphs_have_the_names_the_types_and_the_shapes_of_the_runtime(exported):
    checkpoint, bundle = exported
    ends = {
        "video_encoder": {"features": ("float32", ("E", 6, 7)), "lengths": ("int32", ("E",))},
        "text_encoder": {"words": ("int32", ("E", 9)), "lengths": ("int32", ("E",))},
    }
    if checkpoint.hse.config.hierarchical:
        ends["video_encoder"] |= {"clips": ("float32", ("E", 3, 6, 7)), "clip_lengths": ("int32", ("E", 3))}
        ends["text_encoder"] |= {"sentences": ("int32", ("E", 3, 4)), "sentence_lengths": ("int32", ("E", 3))}
    for precision, kind in (("fp32", "float32"), ("fp16", "float16")):
        for name, inputs in ends.items():
            graph = OnnxRuntimeGraph(bundle.graph(precision, name))
            assert {spec.name: (str(spec.dtype), spec.shape) for spec in graph.inputs} == inputs
            found = [(spec.name, str(spec.dtype), spec.shape[1]) for spec in graph.outputs]
            assert found == [(hse_graphs.OUTPUTS[name], kind, 8)]


def test_each_layer_has_its_modules_name(exported):
    checkpoint, bundle = exported
    low, high = (
        {f"{level}.gru", f"{level}.backward_gru", f"{level}.pool.hidden", f"{level}.pool.weight"}
        for level in ("low", "high")
    )
    wanted = {"low.gru", "low.backward_gru"}
    if checkpoint.hse.config.hierarchical:
        wanted = low | high | {f"{name}@2" for name in low}  # the lower level runs over the whole, and over its parts
    for name in EMBEDDING_GRAPHS:
        nodes = onnx.load(bundle.graph("fp32", name)).graph.node
        layers = [node.name for node in nodes if node.op_type in LAYERS]
        assert sorted(layers) == sorted(wanted)
        assert len({node.name for node in nodes}) == len(nodes)


def test_a_bundle_embeds_as_its_checkpoint(exported, queries):
    checkpoint, bundle = exported
    embedder, expected = (
        Embedder.load(bundle.root, "cpu"),
        CheckpointEmbedder(checkpoint.hse, checkpoint.vocabulary, "toy 1"),
    )
    for side, items in zip(("embed_videos", "embed_texts"), queries, strict=True):
        found, wanted = (getattr(each, side)(items) for each in (embedder, expected))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        assert len(np.unique(found.round(3), axis=0)) == len(items)


def test_half_precision_is_half_and_its_error_is_measured(exported, queries):
    _, bundle = exported
    loss = bundle.manifest.losses["fp16"]
    assert loss["pairs"] >= 64 and loss["samples"] == "stored" and loss["accuracy"] == "not measured"
    assert loss["fp32_nodes"] == {}  # the attention's mask and the clip of a length are within FP16
    assert 0 < loss["score_error_mean"] <= loss["score_error_max"] < 0.01 < loss["score_range"]
    for name in EMBEDDING_GRAPHS:
        weights = onnx.load(bundle.graph("fp16", name)).graph.initializer
        assert onnx.TensorProto.FLOAT not in {weight.data_type for weight in weights if len(weight.dims) > 1}
        assert bundle.graph("fp16", name).stat().st_size < bundle.graph("fp32", name).stat().st_size
    half, whole = (Embedder.load(bundle.root, "cpu", precision) for precision in ("fp16", "fp32"))
    assert half.description.endswith("fp16")
    found, expected = (embedder.score_matrix(*queries) for embedder in (half, whole))
    assert 0 < np.abs(found - expected).max() < 0.01
    np.testing.assert_allclose(np.linalg.norm(half.embed_videos(queries[0]), axis=1), 1, atol=2e-3)


def test_engines_are_built_of_both_encoders_in_the_precision_asked_for(exported, capfd):
    rtx = pytest.importorskip("tensorrt_rtx")
    checkpoint, bundle = exported
    if not checkpoint.hse.config.hierarchical:
        pytest.skip("the lower level is in the hierarchical model's engines")
    for precision, wanted, other in (("fp32", "float32", "float16"), ("fp16", "float16", "float32")):
        engines = build_engines(bundle, precision, "tensorrt-rtx")
        folder = bundle.engines / f"tensorrt-rtx-{rtx.__version__}-aot" / precision
        assert engines == [folder / f"{name}.engine" for name in EMBEDDING_GRAPHS]
        for name, engine in zip(EMBEDDING_GRAPHS, engines, strict=True):
            sidecar = EngineSidecar.read(engine.with_suffix(".json"))
            assert sidecar.engine_sha256 == sha256(engine)
            assert sidecar.graph_sha256 == bundle.manifest.hashes[precision][name]
            assert sidecar.layers[wanted] > 5
            # Those of a half graph that touch FP32 read features and clips, and sum the squares of a vector.
            most = {"video_encoder": 4, "text_encoder": 2}[name] if precision == "fp16" else 0
            assert sidecar.layers.get(other, 0) <= most
            inputs = json.loads(engine.with_suffix(".json").read_text())["inputs"]
            places = {"video_encoder": ("clips", ["E", 3, 6, 7]), "text_encoder": ("sentences", ["E", 3, 4])}[name]
            assert inputs[places[0]]["shape"] == places[1]
    assert capfd.readouterr().out == ""  # it is for what `--json` prints


def test_samples_reach_the_shortest_and_the_longest_and_leave_places_empty(checkpoint_of):
    samples = hse_graphs.draw_samples(checkpoint_of(DEEP).hse)
    for name, parts, most in (("video_encoder", "clip_lengths", 6), ("text_encoder", "sentence_lengths", 4)):
        lengths, counts = samples[name]["lengths"], (samples[name][parts] > 0).sum(1)
        assert {1, 6 if name == "video_encoder" else 9} <= set(lengths.tolist())
        assert {1, 3} <= set(counts.tolist()) and samples[name][parts].max() <= most


def test_a_graph_that_differs_from_pytorch_is_refused(exported):
    checkpoint, bundle = exported
    torch.manual_seed(0)
    other = HSE(checkpoint.hse.config).eval()
    samples = hse_graphs.draw_samples(other)
    with pytest.raises(JsfError, match=r"exported graphs differ from PyTorch: video_encoder by .*text_encoder by "):
        hse_graphs.measure_parity(other, samples, lambda name: bundle.graph("fp32", name))
