"""The arithmetic's floor: the operations that a pair needs, over the fastest rate that a large product reaches here."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.extras import require
from jsf.data.sequence import MAX_STEPS
from jsf.runtime.backends.base import Graph
from jsf.runtime.bench.candidates import Opened
from jsf.runtime.bench.measure import ALL
from jsf.runtime.bench.report import Floor
from jsf.runtime.bench.rows import Samples
from jsf.runtime.bench.ways import Way
from jsf.runtime.buckets import lattice, smallest_buckets
from jsf.runtime.bundle import MATCHER, Bundle
from jsf.runtime.graphs import open_graph

WIDTH = 2048
"""Rows and columns of both factors of a large product."""

PRODUCT_OPERATIONS = 2 * WIDTH**3

TYPES = ("fp32", "int8")
"""Those whose rate is measured on a CPU."""


def pair_operations(path: Path, frames: int, words: int) -> int:
    """The operations of a matcher's products and convolutions for one pair, a multiply and an add each.

    Args:
        path: an fp32 matcher with symbolic lengths.
        frames: the size that it runs at.
        words: likewise.

    Raises:
        JsfError: `onnx` is not installed.
    """
    onnx = require("onnx", "quantize")
    model = onnx.load(path)
    sizes = {"frames": frames, "words": words}
    for value in model.graph.input:
        for length in value.type.tensor_type.shape.dim:
            if length.dim_param:
                length.dim_value = sizes.get(length.dim_param, 1)
    del model.graph.value_info[:]  # they name the lengths that are fixed now
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.value_info}
    shapes |= {value.name: [d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.output}
    weights = {tensor.name: prod(tensor.dims) for tensor in graph.initializer}
    channels = {"Conv": 1, "MatMul": -1, "Gemm": -1}
    total = 0
    for node in graph.node:
        if node.op_type in channels and node.input[1] in weights:
            shape = shapes[node.output[0]]
            total += weights[node.input[1]] * prod(shape) // shape[channels[node.op_type]]
    return 2 * total


class LargeProduct:
    """A product of two matrices of 2048 x 2048 on a backend, the second of them constant as weights are.

    Args:
        device: "cpu" (ONNX Runtime), "openvino" or "numpy".
        kind: "fp32", or "int8": unsigned activations and signed weights, as in the graphs for CPUs.
        folder: where the graph is written.

    Raises:
        JsfError: `onnx` is not installed.
    """

    def __init__(self, device: str, kind: str, folder: Path) -> None:
        random = np.random.default_rng(0)
        self._x, self._weights = (random.standard_normal((WIDTH, WIDTH), np.float32) for _ in range(2))
        self._graph: Graph | None = None
        if device != "numpy":
            path = folder / f"{kind}.onnx"
            _write_product(path, self._weights, kind)
            self._graph = open_graph(path, device)

    def __call__(self) -> Iterator[tuple[str, float]]:
        """Computes it once."""
        start = time.perf_counter()
        if self._graph:
            self._graph.run({"x": self._x})
        else:
            self._x @ self._weights
        yield ALL, time.perf_counter() - start


def _write_product(path: Path, weights: npt.NDArray[np.float32], kind: str) -> None:
    helper, numpy_helper = require("onnx.helper", "quantize"), require("onnx.numpy_helper", "quantize")
    nodes: list[Any] = [helper.make_node("MatMul", ["x", "weights"], ["y"])]
    constants: dict[str, Any] = {"weights": weights}
    if kind == "int8":
        step = np.abs(weights).max(0) / 127
        constants = {
            "q": np.round(weights / step).astype(np.int8),
            "steps": step.astype(np.float32),
            "zeros": np.zeros(WIDTH, np.int8),
            "step": np.float32(8 / 255),
            "zero": np.uint8(128),
        }
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["xq"]),
            helper.make_node("DequantizeLinear", ["xq", "step", "zero"], ["xd"]),
            helper.make_node("DequantizeLinear", ["q", "steps", "zeros"], ["wd"], axis=1),
            helper.make_node("MatMul", ["xd", "wd"], ["y"]),
        ]
    x, y = (helper.make_tensor_value_info(name, 1, [WIDTH, WIDTH]) for name in ("x", "y"))  # 1: float32
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "product", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())


def large_products(opened: Sequence[Opened], folder: Path) -> dict[str, LargeProduct]:
    """A large product of each type on each backend that runs on the CPU, "int8 openvino", and "fp32 numpy".

    Raises:
        JsfError: `onnx` is not installed.
    """
    asked = {(each.candidate.precision, each.candidate.device) for each in opened}
    chosen = sorted((kind, device) for kind, device in asked if kind in TYPES and device != "cuda")
    return {f"{kind} {device}": LargeProduct(device, kind, folder) for kind, device in [*chosen, ("fp32", "numpy")]}


def find_floor(bundle: Bundle, way: Way, products: Iterable[str], samples: Samples) -> Floor:
    """The floor of a way's pairs, from the samples of the products, by name.

    Raises:
        JsfError: `onnx` is not installed.
    """
    path = bundle.graph("fp32", MATCHER)
    videos, sentences = way.encoded
    sizes = lattice(videos.left_padded)
    chosen = Counter(smallest_buckets(videos.needed, sentences.needed, sizes).tolist())
    operations = sum(count * pair_operations(path, *sizes[i]) for i, count in chosen.items()) / chosen.total()
    rates: dict[str, dict[str, float]] = {}
    for name in products:
        kind, backend = name.split()
        rates.setdefault(kind, {})[backend] = PRODUCT_OPERATIONS / min(samples[name][ALL])
    return Floor(operations, pair_operations(path, MAX_STEPS, MAX_STEPS), rates)
