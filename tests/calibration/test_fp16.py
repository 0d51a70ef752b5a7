import shutil
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from jsf.calibration.error import generated_samples, score_error
from jsf.calibration.fp16 import add_fp16, to_fp16
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import GRAPHS, Bundle

TYPES = {TensorProto.FLOAT: "f32", TensorProto.FLOAT16: "f16", TensorProto.INT32: "i32"}
MATCHER = {
    "videos": "f16",
    "video_lengths": "i32",
    "sentences": "f16",
    "sentence_lengths": "i32",
    "video_index": "i32",
    "sentence_index": "i32",
    "scores": "f32",
}
ENDS = {
    "frame_encoder": {"features": "f32", "lengths": "i32", "videos": "f16"},
    "word_encoder": {"words": "i32", "lengths": "i32", "sentences": "f16"},
    "matcher": MATCHER,
    "matcher.buckets": MATCHER,
}


@pytest.fixture(scope="module")
def bundle(tiny_bundle, tmp_path_factory):
    root = tmp_path_factory.mktemp("fp16") / "bundle"
    shutil.copytree(tiny_bundle, root)
    add_fp16(Bundle.open(root))
    return Bundle.open(root)


@pytest.fixture
def untouched(tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    return Bundle.open(tmp_path / "bundle")


def graph(bundle, name, precision="fp16"):
    return OnnxRuntimeGraph(bundle.graph(precision, name))


@pytest.mark.parametrize("name", GRAPHS)
def test_the_ends_of_each_graph_have_the_types_of_the_contract(bundle, name):
    model = onnx.load(bundle.graph("fp16", name))
    onnx.checker.check_model(model, full_check=True)
    ends = (*model.graph.input, *model.graph.output)
    assert {value.name: TYPES[value.type.tensor_type.elem_type] for value in ends} == ENDS[name]


@pytest.mark.parametrize("name", GRAPHS)
def test_all_weights_are_fp16(bundle, name):
    kinds = Counter(weight.data_type for weight in onnx.load(bundle.graph("fp16", name)).graph.initializer)
    assert kinds[TensorProto.FLOAT16] > 0
    assert kinds[TensorProto.FLOAT] == 0
    assert bundle.graph("fp16", name).stat().st_size < bundle.graph("fp32", name).stat().st_size


@pytest.mark.parametrize("name", ["matcher", "matcher.buckets"])
def test_no_cast_runs_over_a_gallery(bundle, name):
    readers = [n for n in onnx.load(bundle.graph("fp16", name)).graph.node if {"videos", "sentences"} & set(n.input)]
    assert readers
    assert "Cast" not in {node.op_type for node in readers}


def test_the_loss_is_measured_and_stands_in_the_manifest(bundle):
    loss = bundle.manifest.losses["fp16"]
    assert loss["accuracy"] == "not measured"
    assert loss["samples"] == "generated"
    assert loss["pairs"] == 64
    assert 0 < loss["score_error_mean"] <= loss["score_error_max"] < 0.01 * loss["score_range"]


def test_graphs_without_a_change_have_no_error(bundle):
    graphs = {name: bundle.graph("fp32", name) for name in GRAPHS}
    error = score_error(graphs, graphs, generated_samples(bundle.manifest, len(bundle.vocabulary)))
    assert error["score_error_max"] == 0


def test_generated_samples_are_what_the_graphs_take(bundle):
    samples = generated_samples(bundle.manifest, len(bundle.vocabulary))
    valid = np.arange(40) < samples["word_lengths"][:, None]
    assert samples["features"].shape == (8, 40, bundle.manifest.feature_width)
    assert (samples["frame_lengths"].min(), samples["frame_lengths"].max()) == (1, 40)
    assert np.array_equal(samples["words"] > 0, valid)
    assert samples["words"].max() < len(bundle.vocabulary)


def test_lengths_mask_as_before(bundle):
    samples = generated_samples(bundle.manifest, len(bundle.vocabulary))
    lengths = samples["frame_lengths"]
    videos = graph(bundle, "frame_encoder").run({"features": samples["features"], "lengths": lengths})["videos"]
    sentences = graph(bundle, "word_encoder").run({"words": samples["words"], "lengths": lengths})["sentences"]
    order = np.arange(8, dtype=np.int32)
    inputs = {
        "video_lengths": lengths,
        "sentence_lengths": lengths,
        "video_index": order,
        "sentence_index": order[::-1],
    }
    clean = graph(bundle, "matcher").run({"videos": videos, "sentences": sentences, **inputs})["scores"]
    padding = np.arange(40) >= lengths[:, None]
    for array in (videos, sentences):
        array[padding] = 100
    assert padding.any()
    assert np.array_equal(
        graph(bundle, "matcher").run({"videos": videos, "sentences": sentences, **inputs})["scores"], clean
    )


def test_the_symbolic_matcher_gives_the_same_scores_cropped(bundle):
    random = np.random.default_rng(0)
    width = bundle.manifest.joint_width
    videos, sentences = (random.uniform(-1, 1, (3, 40, width)).astype(np.float16) for _ in range(2))
    frames, words = np.array([20, 13, 19], np.int32), np.array([9, 12, 11], np.int32)
    order = np.arange(3, dtype=np.int32)
    inputs = {"video_lengths": frames, "sentence_lengths": words, "video_index": order, "sentence_index": order}
    static = graph(bundle, "matcher").run({"videos": videos, "sentences": sentences, **inputs})["scores"]
    cropped = {"videos": videos[:, :20], "sentences": sentences[:, :12]}
    assert np.allclose(graph(bundle, "matcher.buckets").run({**cropped, **inputs})["scores"], static, atol=1e-2)


def test_a_graph_that_overflows_is_refused_and_the_bundle_stays_as_it_was(untouched):
    path = untouched.graph("fp32", "matcher")
    model = onnx.load(path)
    for weight in model.graph.initializer:
        if len(weight.dims) == 4:
            weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1e4), weight.name))
    onnx.save(model, path)
    untouched.manifest.hashes["fp32"]["matcher"] = sha256(path)
    with pytest.raises(JsfError, match=r"scores are not finite in reduced precision"):
        add_fp16(untouched)
    assert not (untouched.root / "fp16").exists()
    assert "fp16" not in Bundle.open(untouched.root).manifest.hashes


def test_a_file_that_is_not_a_graph_is_refused(tmp_path):
    source = tmp_path / "graph.onnx"
    source.write_bytes(b"not a graph")
    with pytest.raises(JsfError, match="cannot be converted to FP16"):
        to_fp16(source, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()
