"""The simulation rounds where the FP16 graph does, and leaves FP32 and INT8 as they are."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jsf.calibration.simulate import simulate_fp16
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

WEIGHT = np.random.default_rng(0).standard_normal((8, 8)).astype(np.float16)


@pytest.fixture
def simulate(tmp_path):
    """Runs the simulation of the FP16 graph y = (x @ weight) * scale."""

    def run(x, scale):
        ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT16, ["B", 8]) for name in "xy"]
        weights = [numpy_helper.from_array(WEIGHT, "weight"), numpy_helper.from_array(np.float16(scale), "scale")]
        nodes = [helper.make_node("MatMul", ["x", "weight"], ["t"]), helper.make_node("Mul", ["t", "scale"], ["y"])]
        graph = helper.make_graph(nodes, "graph", ends[:1], ends[1:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.save(model, tmp_path / "half.onnx")
        simulate_fp16(tmp_path / "half.onnx", tmp_path / "simulated.onnx")
        onnx.checker.check_model(onnx.load(tmp_path / "simulated.onnx"), full_check=True)
        return OnnxRuntimeGraph(tmp_path / "simulated.onnx").run({"x": x})["y"]

    return run


def test_every_result_is_rounded(simulate):
    x = np.random.default_rng(1).standard_normal((64, 8)).astype(np.float16).astype(np.float32)
    product = x @ WEIGHT.astype(np.float32)
    expected = (product.astype(np.float16) * np.float16(0.3)).astype(np.float32)
    exact = product * np.float32(np.float16(0.3))
    found = simulate(x, 0.3)
    assert np.mean(found == expected) > 0.98  # a sum in another order may fall on the other side of a rounding
    assert np.mean(found == exact) < 0.1


def test_an_overflow_shows_even_where_a_later_operation_scales_it_back(simulate):
    x = np.full((1, 8), 6e4, np.float32)
    found = simulate(x, 1e-3)
    exact = x @ WEIGHT.astype(np.float32)
    assert np.array_equal(np.isinf(found), np.abs(exact) >= 65520)
    assert np.isinf(found).any()
