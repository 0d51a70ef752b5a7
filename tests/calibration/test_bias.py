import numpy as np
import onnx
import pytest

from jsf.calibration.bias import correct_biases
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph


def convolution(path, groups, bias, seed=0):
    """One convolution 3 x 3, 4 -> 8 channels, on images of 6 x 6 without a border; rounds its weights if asked to."""
    weights = np.random.default_rng(seed).standard_normal((8, 4 // groups, 3, 3)).astype(np.float32)
    inputs = ["x", "w", *(["b"] if bias else [])]
    values = {"w": weights, **({"b": np.arange(8, dtype=np.float32)} if bias else {})}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", inputs, ["y"], name="conv", group=groups)],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, ["B", 4, 6, 6])],
        [onnx.helper.make_tensor_value_info("y", 1, ["B", 8, 4, 4])],
        [onnx.numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def round_weights(path):
    """As INT8 rounds them: 127 steps to each side, for each output."""
    model = onnx.load(path)
    weight = next(value for value in model.graph.initializer if value.name == "w")
    values = onnx.numpy_helper.to_array(weight)
    step = np.abs(values).max((1, 2, 3), keepdims=True) / 127
    weight.CopyFrom(onnx.numpy_helper.from_array((np.round(values / step) * step).astype(np.float32), "w"))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_the_mean_sums_of_rounded_weights_are_those_of_exact_ones(tmp_path, groups, bias):
    exact = convolution(tmp_path / "exact.onnx", groups, bias)
    means = np.array([1.0, 2.0, -3.0, 40.0])
    images = np.broadcast_to(means[None, :, None, None], (1, 4, 6, 6)).astype(np.float32)
    correct_biases(exact, tmp_path / "corrected.onnx", {"conv": means}, ["conv"])
    found = {
        "exact": OnnxRuntimeGraph(exact).run({"x": images})["y"],
        "rounded": OnnxRuntimeGraph(round_weights(convolution(tmp_path / "r.onnx", groups, bias))).run({"x": images})[
            "y"
        ],
        "corrected": OnnxRuntimeGraph(round_weights(tmp_path / "corrected.onnx")).run({"x": images})["y"],
    }
    np.testing.assert_allclose(found["corrected"], found["exact"], atol=1e-4)
    assert np.abs(found["rounded"] - found["exact"]).max() > 0.01


def test_layers_that_are_not_named_keep_their_biases(tmp_path):
    source = convolution(tmp_path / "exact.onnx", 1, True)
    correct_biases(source, tmp_path / "same.onnx", {}, [])
    assert onnx.load(tmp_path / "same.onnx") == onnx.load(source)


def rebuilt(path, change):
    model = onnx.load(path)
    change(model.graph)
    onnx.save(model, path)
    return path


def computed(graph):
    """The bias comes from a node, as in files from elsewhere."""
    bias = next(value for value in graph.initializer if value.name == "b")
    graph.node.insert(0, onnx.helper.make_node("Constant", [], ["b"], value=bias))
    graph.initializer.remove(bias)


def unnamed(graph):
    """An optional input that is left out has an empty name."""
    graph.node[0].input[2] = ""


def named_after_the_layer(graph):
    """As TensorFlow names it."""
    next(value for value in graph.initializer if value.name == "b").name = "conv/bias"
    graph.node[0].input[2] = "conv/bias"


@pytest.mark.parametrize("change", [computed, unnamed, named_after_the_layer])
def test_biases_of_files_from_elsewhere(tmp_path, change):
    source = rebuilt(convolution(tmp_path / "exact.onnx", 1, True), change)
    images = np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32)
    correct_biases(source, tmp_path / "same.onnx", {"conv": np.zeros(4)}, ["conv"])
    exact, same = (OnnxRuntimeGraph(path).run({"x": images})["y"] for path in (source, tmp_path / "same.onnx"))
    np.testing.assert_allclose(same, exact, atol=1e-4)
