"""The operations of a pair against numbers computed by hand, and large products that multiply."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from jsf.data.errors import JsfError
from jsf.runtime.bench import floor
from jsf.runtime.bench.floor import LargeProduct, pair_operations
from jsf.runtime.bench.measure import ALL
from jsf.runtime.bench.report import Floor
from jsf.runtime.bundle import Bundle


def zeros(name, *shape):
    return numpy_helper.from_array(np.zeros(shape, np.float32), name)


@pytest.fixture
def paper_matcher(tmp_path):
    """The products of the paper's JST and CHD without its gates, at any size: D2, D3, D4, three convolutions, D5."""
    nodes = [
        helper.make_node("MatMul", [a, w], [b]) for a, w, b in (("t", "d2", "a"), ("a", "d3", "b"), ("b", "d4", "c"))
    ]
    nodes += [
        helper.make_node("Transpose", ["c"], ["x0"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x0", "c1"], ["x1"]),
        helper.make_node("Conv", ["x1", "c2"], ["x2"]),
        helper.make_node("Conv", ["x2", "c3"], ["x3"], strides=[2, 2]),
        helper.make_node("ReduceMean", ["x3", "axes"], ["pooled"], keepdims=0),
        helper.make_node("Gemm", ["pooled", "d5"], ["scores"], transB=1),
        helper.make_node("Transpose", ["pooled"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["pooled", "turned"], ["square"]),  # of activations alone: no weights
    ]
    weights = [zeros(name, 512, 512) for name in ("d2", "d3", "d4")]
    weights += [zeros("c1", 256, 512, 3, 3), zeros("c2", 256, 256, 3, 3), zeros("c3", 256, 256, 3, 3)]
    weights += [zeros("d5", 100, 256), numpy_helper.from_array(np.array([2, 3]), "axes")]
    t = helper.make_tensor_value_info("t", TensorProto.FLOAT, ["P", "frames", "words", 512])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["P", 100])
    model = helper.make_model(helper.make_graph(nodes, "matcher", [t], [scores], weights), ir_version=10)
    onnx.save(model, tmp_path / "matcher.onnx")
    return tmp_path / "matcher.onnx"


@pytest.mark.parametrize(
    ("frames", "words", "dense", "stages"),
    [(40, 40, 1600, (38 * 38, 36 * 36, 17 * 17)), (39, 9, 351, (37 * 7, 35 * 5, 17 * 2)), (7, 7, 49, (25, 9, 1))],
)
def test_operations_are_those_of_a_hand(paper_matcher, frames, words, dense, stages):
    expected = dense * 3 * 512 * 512 + stages[0] * 9 * 512 * 256 + sum(stages[1:]) * 9 * 256 * 256 + 100 * 256
    assert pair_operations(paper_matcher, frames, words) == 2 * expected


def test_the_papers_matcher_takes_7_79_billion_operations(paper_matcher):
    assert pair_operations(paper_matcher, 40, 40) == pytest.approx(7.79e9, rel=1e-3)


def test_operations_of_an_exported_matcher(tiny_bundle):
    def by_hand(n, m):
        joint, refine, conv, (d5, d6, d7) = 8, 7, 6, (6, 9, 8)
        total = n * m * (joint * refine + refine + joint * refine + refine * refine)
        for channels, stride in ((refine, 1), (conv, 1), (conv, 2)):
            taps = n * m * 9 * channels  # the gate: a map for each tap, and the sum of the maps where they meet
            n, m = (n - 3) // stride + 1, (m - 3) // stride + 1
            total += taps + n * m * (9 * 9 + 9 * channels * conv)
        return 2 * (total + conv * d5 + d5 * d6 + d6 * d7 + d7)

    path = Bundle.open(tiny_bundle).graph("fp32", "matcher.buckets")
    for size in ((40, 40), (39, 9), (7, 7)):
        assert pair_operations(path, *size) == by_hand(*size)


def test_without_onnx_nothing_is_counted(paper_matcher, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(JsfError, match="needs the Python package 'onnx'"):
        pair_operations(paper_matcher, 40, 40)


@pytest.mark.parametrize(("kind", "error"), [("fp32", 1e-5), ("int8", 0.03)])
def test_a_large_product_is_one(kind, error, tmp_path, monkeypatch):
    monkeypatch.setattr(floor, "WIDTH", 64)
    product = LargeProduct("cpu", kind, tmp_path)
    ((what, seconds),) = product()
    assert what == ALL and seconds > 0
    found = product._graph.run({"x": product._x})["y"]
    expected = product._x @ product._weights
    assert np.abs(found - expected).max() / np.ptp(expected) < error
    nodes = [node.op_type for node in onnx.load(tmp_path / f"{kind}.onnx").graph.node]
    assert ("DequantizeLinear" in nodes) == (kind == "int8")


def test_the_floor_is_at_the_fastest_rate():
    found = Floor(2e9, 8e9, {"fp32": {"cpu": 1e11, "numpy": 2e11}})
    assert found.seconds("fp32") == pytest.approx(0.01)
    assert found.seconds("fp16") is None
