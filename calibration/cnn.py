"""A CNN, and its graphs in reduced precision."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from jsf.calibration.bias import Means, correct_biases
from jsf.calibration.collect import watched
from jsf.calibration.features import Frames
from jsf.calibration.fp16 import to_fp16
from jsf.calibration.histogram import METHODS, Histogram, Range
from jsf.calibration.int8 import write_int8
from jsf.calibration.layers import convolutions
from jsf.calibration.overflow import overflowing_nodes
from jsf.data.errors import JsfError
from jsf.data.extras import require

LEAST_OPSET = 19
"""The first in which FP16 is quantized."""


@dataclass(frozen=True)
class Cnn:
    """A CNN to be reduced.

    Attributes:
        source: the FP32 graph; all of its nodes have names.
        ends: its input and its output, which stay FP32.
        inputs, outputs: layer -> the range of an activation.
        means: of its layers' inputs.
        float32: nodes that FP16 does not hold.
    """

    source: Path
    ends: tuple[str, str]
    inputs: dict[str, Range]
    outputs: dict[str, Range]
    means: Means
    float32: list[str]

    def write(self, variant: str, target: Path, kept: Collection[str]) -> None:
        """Writes a variant, whole or not at all; `kept` layers stay in higher precision."""
        if variant == "fp16":
            to_fp16(self.source, target, self.float32, self.ends)
            return
        ranges, layers = (self.inputs, self.outputs), self.inputs.keys() - set(kept)
        with TemporaryDirectory() as folder:
            correct_biases(self.source, corrected := Path(folder) / self.source.name, self.means, layers)
            write_int8(corrected, target, variant, convolutions, ranges, kept, self.float32, self.ends)


def calibrated(source: Path, place: Path, precision: str, seen: Frames, method: str) -> Cnn:
    """A CNN with what its reduction to a precision needs; a graph with names for all nodes is written into `place`.

    Raises:
        JsfError: a package is missing, the graph is too old to be converted, or an activation is not finite.
    """
    onnx = require("onnx", "quantize")
    model = onnx.load(source)
    if precision == "int8":
        model = _recent(onnx, model, source)
    _name_nodes(model)
    onnx.save(model, named := place / source.name)
    float32 = overflowing_nodes(named, seen.shown("checking the range of FP16"))
    ends = model.graph.input[0].name, model.graph.output[0].name
    if precision != "int8":
        return Cnn(named, ends, {}, {}, {}, float32)
    layers = convolutions(model)
    histograms = {tensor: Histogram() for layer in layers for tensor in (layer.input, layer.output)}
    sums: dict[str, Any] = dict.fromkeys((layer.name for layer in layers), 0.0)
    graph = watched(named, histograms.keys() - {ends[0]})
    for batch in seen.shown("measuring activations"):
        values = {**batch, **graph.run(batch)}
        for tensor, histogram in histograms.items():
            histogram.add(values[tensor])
        for layer in layers:
            value = values[layer.input]
            sums[layer.name] += value.mean(axis=tuple(range(2, value.ndim)), dtype=np.float64).sum(0)
    ranges = {tensor: METHODS[method](histogram) for tensor, histogram in histograms.items()}
    return Cnn(
        named,
        ends,
        {layer.name: ranges[layer.input] for layer in layers},
        {layer.name: ranges[layer.output] for layer in layers},
        {name: total / seen.count for name, total in sums.items()},
        float32,
    )


def _recent(onnx: Any, model: Any, source: Path) -> Any:
    """The same graph of an opset that knows INT8 between FP16; raises JsfError where it cannot be converted."""
    opset = next((found.version for found in model.opset_import if not found.domain), 0)
    if opset >= LEAST_OPSET:
        return model
    try:
        return require("onnx.version_converter", "quantize").convert_version(model, LEAST_OPSET)
    except Exception as error:  # onnx raises RuntimeError, and classes of its own
        raise JsfError(
            f"{source} is of opset {opset}, which cannot become {LEAST_OPSET}: {' '.join(str(error).split())[:200]}.",
            f"Export the CNN again with opset {LEAST_OPSET} or newer.",
        ) from error


def _name_nodes(model: Any) -> None:
    """Names the nodes that have no name, as in files from elsewhere: layers are told apart by it."""
    taken = {node.name for node in model.graph.node}
    for number, node in enumerate(model.graph.node):
        if not node.name:
            node.name = next(name for n in count(number) if (name := f"{node.op_type}.{n}") not in taken)
            taken.add(node.name)
