import shutil
from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from jsf.calibration.error import score_error
from jsf.calibration.fp16 import add_fp16, to_fp16
from jsf.calibration.samples import load_samples
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import GRAPHS, Bundle, write_manifest

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
    assert loss["samples"] == "stored"
    assert loss["pairs"] >= 64
    assert loss["fp32_nodes"] == {}
    assert 0 < loss["score_error_mean"] <= loss["score_error_max"] < 0.01 * loss["score_range"]


def test_graphs_without_a_change_have_no_error(bundle):
    graphs = {name: bundle.graph("fp32", name) for name in GRAPHS}
    error = score_error(graphs, graphs, load_samples(bundle))
    assert error["score_error_max"] == 0


def test_lengths_mask_as_before(bundle):
    pairs = load_samples(bundle)
    videos = graph(bundle, "frame_encoder").run(pairs.videos)["videos"]
    sentences = graph(bundle, "word_encoder").run(pairs.sentences)["sentences"]
    inputs = {
        "video_lengths": pairs.videos["lengths"],
        "sentence_lengths": pairs.sentences["lengths"],
        "video_index": pairs.video_index[:20],
        "sentence_index": pairs.sentence_index[:20],
    }
    clean = graph(bundle, "matcher").run({"videos": videos, "sentences": sentences, **inputs})["scores"]
    for array, side in ((videos, pairs.videos), (sentences, pairs.sentences)):
        padding = np.arange(40) >= side["lengths"][:, None]
        assert padding.any()
        array[padding] = 100
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


def test_weights_that_are_no_numbers_are_refused_and_the_bundle_stays_as_it_was(untouched):
    path = untouched.graph("fp32", "matcher.buckets")
    model = onnx.load(path)
    weight = next(weight for weight in model.graph.initializer if len(weight.dims) == 4)
    weight.CopyFrom(numpy_helper.from_array(np.full(weight.dims, np.nan, np.float32), weight.name))
    onnx.save(model, path)
    untouched.manifest.hashes["fp32"]["matcher.buckets"] = sha256(path)
    write_manifest(untouched.root, untouched.manifest)
    with pytest.raises(JsfError, match="the FP32 scores are not finite"):
        add_fp16(untouched)
    assert not (untouched.root / "fp16").exists()
    assert "fp16" not in Bundle.open(untouched.root).manifest.hashes


def types(path):
    """Value -> its type, of all values of a graph."""
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    return {value.name: TYPES.get(value.type.tensor_type.elem_type) for value in model.graph.value_info}


def test_nodes_that_are_kept_read_and_write_fp32_and_nothing_is_rounded_between_them(untouched, tmp_path):
    kept = ["jst.d3", "jst.d3/Add", "jst.d3/Tanh", "jst.d4"]
    to_fp16(untouched.graph("fp32", "matcher"), tmp_path / "mixed.onnx", kept)
    model = onnx.load(tmp_path / "mixed.onnx")
    onnx.checker.check_model(model, full_check=True)
    found = types(tmp_path / "mixed.onnx")
    weights = {weight.name: TYPES[weight.data_type] for weight in model.graph.initializer if weight.data_type in TYPES}
    of = {node.name: node for node in model.graph.node}
    for name in kept:
        assert {{**weights, **found}[value] for value in (*of[name].input, *of[name].output)} == {"f32"}
    made = {output: node for node in model.graph.node for output in node.output}
    assert [made[of[name].input[0]].name for name in kept[1:]] == kept[:-1]
    assert {weights[value] for value in of["jst.d2"].input if value in weights} == {"f16"}
    assert {value.name: TYPES[value.type.tensor_type.elem_type] for value in model.graph.output} == {"scores": "f32"}


@pytest.mark.parametrize("name", ["frame_encoder", "matcher"])
def test_kept_as_a_whole_a_graph_computes_as_before(untouched, tmp_path, name):
    source, pairs = untouched.graph("fp32", name), load_samples(untouched)
    inputs = pairs.videos
    if name == "matcher":
        random = np.random.default_rng(0)
        sides = {"video": pairs.videos, "sentence": pairs.sentences}
        lengths = {f"{side}_lengths": inputs["lengths"] for side, inputs in sides.items()}
        encoded = {f"{side}s": random.uniform(-1, 1, (len(x["lengths"]), 40, 8)) for side, x in sides.items()}
        encoded = {key: value.astype(np.float16).astype(np.float32) for key, value in encoded.items()}
        index = {"video_index": pairs.video_index, "sentence_index": pairs.sentence_index}
        inputs = {**encoded, **lengths, **index}
    to_fp16(source, tmp_path / "kept.onnx", [node.name for node in onnx.load(source).graph.node])
    (found,), (expected,) = (OnnxRuntimeGraph(path).run(inputs).values() for path in (tmp_path / "kept.onnx", source))
    assert np.array_equal(found, expected.astype(found.dtype))


def test_a_file_that_is_not_a_graph_is_refused(tmp_path):
    source = tmp_path / "graph.onnx"
    source.write_bytes(b"not a graph")
    with pytest.raises(JsfError, match="cannot be converted to FP16"):
        to_fp16(source, tmp_path / "half.onnx")
    assert not (tmp_path / "half.onnx").exists()
