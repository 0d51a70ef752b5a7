"""Biases of convolutions that make up for the rounding of their weights to INT8."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.extras import require
from jsf.data.files import replacing

Means = Mapping[str, npt.NDArray[np.float64]]
"""Layer -> the mean of each channel of its input, [C]."""


def correct_biases(source: Path, target: Path, means: Means, layers: Collection[str]) -> None:
    """Writes an FP32 graph whose INT8 version has, on average, the sums that `source` has.

    Rounding shifts each sum by what its weights lost, times what they are multiplied with: on average a constant, which
    the bias takes back. Depthwise convolutions have few weights in a sum, whose errors do not cancel.

    Args:
        source: an FP32 .onnx file with its weights inside.
        target: the .onnx file to write.
        means: of what goes into the layers.
        layers: the names of convolutions that will be INT8.

    Source: Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction, ICCV 2019, sec. 4.2.
    """
    onnx = require("onnx", "quantize")
    model = onnx.load(source)
    weights = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Conv" and node.name in layers:
            name = node.input[2] if len(node.input) > 2 else ""
            if name and name not in weights:  # it is computed, as in files from elsewhere
                continue
            lost = _lost(weights[node.input[1]], means[node.name])
            bias = weights[name] if name else np.zeros_like(lost)
            node.input[2:] = [name := f"{node.name}/corrected bias"]
            model.graph.initializer.append(onnx.numpy_helper.from_array((bias + lost).astype(np.float32), name))
    _drop_unread(model.graph)
    with replacing(target) as temporary:
        onnx.save(model, temporary)


def _lost(weights: npt.NDArray[np.float32], means: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What rounding [O, C / groups, ...] to 127 steps for each output takes from the outputs' means: [O]."""
    outputs = len(weights)
    flat = weights.reshape(outputs, -1).astype(np.float64)
    step = np.maximum(np.abs(flat).max(1, keepdims=True), np.finfo(np.float32).tiny) / 127
    rounding = (flat - np.round(flat / step) * step).reshape(outputs, weights.shape[1], -1).sum(2)
    groups = len(means) // weights.shape[1]
    found: npt.NDArray[np.float64] = np.einsum(
        "goc,gc->go", rounding.reshape(groups, outputs // groups, -1), means.reshape(groups, -1)
    ).ravel()
    return found


def _drop_unread(graph: Any) -> None:
    read = {name for node in graph.node for name in node.input}
    for weight in [weight for weight in graph.initializer if weight.name not in read]:
        graph.initializer.remove(weight)
