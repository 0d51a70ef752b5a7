"""Nodes whose values FP16 does not hold are found, stay FP32, and are named."""

import shutil

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jsf.calibration.fp16 import add_fp16
from jsf.calibration.overflow import LARGEST, MARGIN, overflowing, overflowing_nodes
from jsf.calibration.samples import load_samples
from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.runtime.bundle import GRAPHS, Bundle, write_manifest


@pytest.fixture
def graph(tmp_path):
    """(scale, weight) -> the graph y = ((x * scale) * weight) + 0; its nodes are "up", "down" and "still"."""

    def build(scale, weight):
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 3]) for name in "xy"]
        nodes = [
            helper.make_node("Mul", ["x", "scale"], ["t"], name="up"),
            helper.make_node("Mul", ["t", "weight"], ["u"], name="down"),
            helper.make_node("Add", ["u", "zero"], ["y"], name="still"),
        ]
        values = {"scale": scale, "weight": weight, "zero": 0.0}
        weights = [numpy_helper.from_array(np.float32(value), name) for name, value in values.items()]
        model = helper.make_model(
            helper.make_graph(nodes, "graph", ends[:1], ends[1:], weights),
            opset_imports=[helper.make_opsetid("", 20)],
            ir_version=10,
        )
        onnx.save(model, tmp_path / "graph.onnx")
        return tmp_path / "graph.onnx"

    return build


ONE = np.array([[1, 0, 0]], np.float32)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("scale", "found"), [(0.99 * LARGEST / MARGIN, []), (1.01 * LARGEST / MARGIN, ["up", "down"])])
def test_both_ends_of_a_large_activation_are_found_with_a_margin(graph, sign, scale, found):
    assert overflowing_nodes(graph(sign * scale, 1e-3), [{"x": ONE}]) == found


def test_the_largest_value_of_any_batch_counts(graph):
    batches = [{"x": value * ONE} for value in (1, 100, 2)]
    assert overflowing_nodes(graph(LARGEST / MARGIN / 99, 1e-3), batches) == ["up", "down"]
    assert overflowing_nodes(graph(LARGEST / MARGIN / 99, 1e-3), batches[::2]) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_found(graph, value):
    x = np.full((1, 3), value, np.float32)
    assert overflowing_nodes(graph(1.0, 1.0), [{"x": x}]) == ["up", "down", "still"]


@pytest.mark.parametrize(("weight", "found"), [(LARGEST, []), (-1.01 * LARGEST, ["down"])])
def test_a_weight_is_known_and_needs_no_margin(graph, weight, found):
    assert overflowing_nodes(graph(1e-3, weight), [{"x": 1e-3 * ONE}]) == found


def test_an_input_that_is_too_large_is_found(graph):
    assert overflowing_nodes(graph(1e-4, 1.0), [{"x": LARGEST * ONE}]) == ["up"]


@pytest.fixture
def scaled(tiny_bundle, tmp_path):
    """(graph, layer) -> the tiny bundle with a layer's product times 1000 twice, and then over 1000 twice."""

    def build(name, layer):
        bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
        for graph in (graph for graph in GRAPHS if graph.startswith(name)):
            path = bundle.graph("fp32", graph)
            model = onnx.load(path)
            place, node = next((i, node) for i, node in enumerate(model.graph.node) if node.name == layer)
            steps = [f"{node.output[0]}/{i}" for i in range(4)] + [node.output[0]]
            node.output[0] = steps[0]
            for i, (operation, end) in enumerate([("Mul", "up"), ("Mul", "up@2"), ("Div", "down"), ("Div", "down@2")]):
                extra = helper.make_node(operation, [steps[i], "thousand"], [steps[i + 1]], name=f"{layer}/{end}")
                model.graph.node.insert(place + 1 + i, extra)
            model.graph.initializer.append(numpy_helper.from_array(np.float32(1000), "thousand"))
            onnx.save(model, path)
            bundle.manifest.hashes["fp32"][graph] = sha256(path)
            write_manifest(bundle.root, bundle.manifest)
        return bundle

    return build


@pytest.fixture
def unchecked(monkeypatch):
    """Conversion as it would be without the check: the largest error, as a share of the range; NaN where scores are."""

    def convert(bundle):
        with monkeypatch.context() as without:
            without.setattr("jsf.calibration.fp16.overflowing", lambda bundle, _: dict.fromkeys(GRAPHS, ()))
            try:
                loss = add_fp16(bundle)
            except JsfError as refusal:
                assert "not finite in reduced precision" in refusal.message
                return np.nan
        return loss["score_error_max"] / loss["score_range"]

    return convert


@pytest.mark.parametrize(
    ("name", "layer", "finite"),
    [
        ("matcher", "chd.stages.1.convolution", False),
        ("matcher", "jst.d3", True),  # a tanh makes 1 of infinity: wrong, and no error says so
        ("word_encoder", "d1", True),
    ],
)
def test_a_layer_that_overflows_stays_fp32_and_is_named(scaled, unchecked, name, layer, finite):
    bundle = scaled(name, layer)
    harm = unchecked(bundle)
    assert harm > 0.1 if finite else np.isnan(harm)
    wanted = {graph: [f"{layer}/up@2", f"{layer}/down"] for graph in GRAPHS if graph.startswith(name)}
    loss = add_fp16(bundle)
    assert loss["fp32_nodes"] == wanted
    assert {graph: nodes for graph, nodes in overflowing(bundle, load_samples(bundle)).items() if nodes} == wanted
    assert Bundle.open(bundle.root).manifest.losses["fp16"] == loss
    assert 0 < loss["score_error_max"] < 0.01 * loss["score_range"]


def test_an_lstm_stays_fp32_as_a_whole(tiny_bundle, tmp_path):
    bundle = Bundle.open(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    path = bundle.graph("fp32", "word_encoder")
    model = onnx.load(path)
    lstm = next(node for node in model.graph.node if node.op_type == "LSTM")
    bias = next(weight for weight in model.graph.initializer if weight.name == lstm.input[3])
    values = numpy_helper.to_array(bias).copy()
    values[0, 0] = 1e5  # a gate that is always open
    bias.CopyFrom(numpy_helper.from_array(values, bias.name))
    onnx.save(model, path)
    bundle.manifest.hashes["fp32"]["word_encoder"] = sha256(path)
    write_manifest(bundle.root, bundle.manifest)
    loss = add_fp16(bundle)
    assert loss["fp32_nodes"] == {"word_encoder": ["context.lstm"]}
    assert loss["score_error_max"] < 0.01 * loss["score_range"]
    half = onnx.load(bundle.graph("fp16", "word_encoder")).graph
    (lstm,) = (node for node in half.node if node.op_type == "LSTM")
    kinds = {weight.name: weight.data_type for weight in half.initializer}
    assert [kinds[name] for name in lstm.input[1:4]] == [TensorProto.FLOAT] * 3
