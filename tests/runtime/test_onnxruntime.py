"""The ONNX Runtime backend, on a graph of three nodes."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from jsf.data.errors import JsfError
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph


@pytest.fixture(scope="module")
def graph(sums_graph):
    """rows [B, 2, 3] and index [P] -> the sums [P] of the rows that `index` names."""
    return OnnxRuntimeGraph(sums_graph(2))


ROWS = np.arange(24, dtype=np.float32).reshape(4, 2, 3)
INDEX = np.array([3, 0, 3], np.int32)
TOTALS = ROWS.sum((1, 2))[INDEX]


def test_it_describes_itself(graph):
    assert [(spec.name, spec.dtype, spec.shape) for spec in graph.inputs] == [
        ("rows", np.dtype(np.float32), ("B", 2, 3)),
        ("index", np.dtype(np.int32), ("P",)),
    ]
    assert [spec.name for spec in graph.outputs] == ["total"]
    assert graph.description == f"onnxruntime {onnxruntime.__version__} on cpu"


@pytest.mark.parametrize("batch", [1, 4])
def test_it_runs_any_batch(graph, batch):
    found = graph.run({"index": INDEX % batch, "rows": ROWS[:batch]})
    assert list(found) == ["total"]
    assert np.array_equal(found["total"], ROWS.sum((1, 2))[INDEX % batch])


@pytest.mark.parametrize(
    ("rows", "index"),
    [
        (ROWS.astype(np.float16), INDEX),
        (ROWS.astype(np.float64), INDEX),
        (np.asfortranarray(ROWS), INDEX.astype(np.int64)),
        (np.repeat(ROWS, 2, axis=0)[::2], INDEX),
    ],
    ids=["float16", "float64", "fortran order, int64", "strided"],
)
def test_numbers_of_the_same_kind_are_cast_and_made_contiguous(graph, rows, index):
    assert np.array_equal(graph.run({"rows": rows, "index": index})["total"], TOTALS)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"rows": ROWS}, r"takes \['rows', 'index'\], got \['rows'\]"),
        ({"rows": ROWS, "index": INDEX, "more": INDEX}, r"got \['index', 'more', 'rows'\]"),
        ({"rows": ROWS[0], "index": INDEX}, r"'rows' is \[2, 3\], expected \['B', 2, 3\]"),
        ({"rows": ROWS[None], "index": INDEX}, r"'rows' is \[1, 4, 2, 3\], expected"),
        ({"rows": ROWS, "index": INDEX[None]}, r"'index' is \[1, 3\], expected \['P'\]"),
        ({"rows": ROWS[:, :, :2], "index": INDEX}, r"'rows' is \[4, 2, 2\], expected"),
        ({"rows": ROWS, "index": INDEX.astype(np.float32)}, "'index' is float32, expected int32"),
        ({"rows": ROWS.astype(np.complex64), "index": INDEX}, "'rows' is complex64, expected float32"),
        ({"rows": ROWS.astype(str), "index": INDEX}, "'rows' is <U32, expected float32"),
        ({"rows": ROWS, "index": INDEX + 9}, r"onnxruntime cannot run .*sums\.onnx: .*out of"),
    ],
    ids=[
        "missing",
        "unknown",
        "rank 2",
        "rank 4",
        "index of rank 2",
        "length",
        "float index",
        "complex",
        "text",
        "out of range",
    ],
)
def test_wrong_inputs_are_refused(graph, inputs, message):
    with pytest.raises(JsfError, match=message):
        graph.run(inputs)


@pytest.mark.parametrize("content", [None, b"", b"not a graph", b"\x08\x09"], ids=["absent", "empty", "text", "cut"])
def test_a_file_that_is_no_graph_is_refused(tmp_path, content):
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(JsfError, match=r"broken\.onnx cannot be loaded by onnxruntime"):
        OnnxRuntimeGraph(path)


def test_a_graph_of_other_types_is_refused(write_graph, tmp_path):
    path = write_graph(tmp_path / "double.onnx", "g (double[B] x) => (double[B] y) { y = Neg(x) }")
    with pytest.raises(JsfError, match=r"'x' of the graph is a tensor\(double\), expected one of: tensor\(float\)"):
        OnnxRuntimeGraph(path)


class TestDevice:
    """A device that is not there is an error, also where ONNX Runtime itself would fall back."""

    @pytest.fixture
    def path(self, write_graph, tmp_path):
        return write_graph(tmp_path / "neg.onnx", "g (float[B] x) => (float[B] y) { y = Neg(x) }")

    @pytest.fixture(autouse=True)
    def cpu_only(self, monkeypatch):
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])

    def test_cuda_without_the_gpu_package(self, path):
        with pytest.raises(JsfError, match="device 'cuda' is not here: this onnxruntime offers only") as refusal:
            OnnxRuntimeGraph(path, "cuda")
        assert "--device cpu" in refusal.value.fix
        assert "pip install '.[gpu]'" in refusal.value.fix

    @pytest.mark.filterwarnings("ignore:Specified provider")
    def test_cuda_that_does_not_load(self, path, monkeypatch):
        if "CUDAExecutionProvider" in onnxruntime.InferenceSession(path).get_providers():
            pytest.skip("CUDA loads here")
        offered = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: offered)
        with pytest.raises(JsfError, match="onnxruntime runs CPUExecutionProvider: CUDA did not load") as refusal:
            OnnxRuntimeGraph(path, "cuda")
        assert "nvidia-smi" in refusal.value.fix

    def test_an_unknown_device(self, path):
        with pytest.raises(JsfError, match="no device 'tpu' here, expected one of: cpu, cuda"):
            OnnxRuntimeGraph(path, "tpu")


@pytest.mark.parametrize(("device", "extra"), [("cpu", "cpu"), ("cuda", "gpu")])
def test_a_missing_package_is_named_with_the_extra_of_the_device(monkeypatch, tmp_path, device, extra):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(JsfError, match="'onnxruntime'") as refusal:
        OnnxRuntimeGraph(tmp_path / "any.onnx", device)
    assert refusal.value.fix == f"Install it with, in the folder of jsf's sources: pip install '.[{extra}]'"


def test_a_layer_in_fp32_between_two_in_int8_stays_so(tmp_path):
    """One scale for all channels would lose the weights of the second one."""
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 19]>'
        "g (float[1, 2, 3, 3] x) => (float[1, 2, 3, 3] y)"
        "<float step = {0.01}, float fine = {0.001}, uint8 zero = {0},"
        " float[2, 1, 1, 1] w = {100.0, 0.1}, float[2] b = {0.0, 0.0}> {"
        "q = QuantizeLinear(x, step, zero)  d = DequantizeLinear(q, step, zero)"
        "c = Conv<group = 2>(d, w, b)"
        "r = QuantizeLinear(c, fine, zero)  y = DequantizeLinear(r, fine, zero) }"
    )
    onnx.save(model, tmp_path / "mixed.onnx")
    images = np.full((1, 2, 3, 3), 1, np.float32)
    found = OnnxRuntimeGraph(tmp_path / "mixed.onnx").run({"x": images})["y"]
    np.testing.assert_allclose(found[0, 1], 0.1, atol=0.001)
