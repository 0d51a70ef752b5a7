"""Small ONNX graphs, written as text."""

import onnx
import pytest

HEADER = '<ir_version: 9, opset_import: ["" : 20, "made.up" : 1]> '


@pytest.fixture(scope="session")
def write_graph():
    """write_graph(path, text) -> the path of a graph, in ONNX's own syntax."""

    def write(path, text):
        onnx.save(onnx.parser.parse_model(HEADER + text), path)
        return path

    return write


@pytest.fixture(scope="session")
def sums_graph(write_graph, tmp_path_factory):
    """sums_graph(steps) -> rows [B, steps, 3] and index [P] -> the sums [P] of the rows that `index` names."""

    def write(steps):
        return write_graph(
            tmp_path_factory.mktemp("graphs") / "sums.onnx",
            f"sums (float[B, {steps}, 3] rows, int32[P] index) => (float[P] total) {{"
            "axes = Constant <value_ints: ints = [1, 2]> ()  picked = Gather(rows, index)"
            "total = ReduceSum <keepdims: int = 0> (picked, axes) }",
        )

    return write
