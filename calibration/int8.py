"""INT8 graphs from FP32 ones: one calibration, two ways to write it."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from jsf.calibration.fp16 import FLOAT32_ENDS, to_fp16
from jsf.calibration.histogram import Range
from jsf.calibration.layers import CUTS, PRODUCTS, Layer, quantizable
from jsf.calibration.ranges import Calibration
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.runtime.bundle import MATCHER, Bundle
from jsf.runtime.graph_folder import CPU_INT8

SYMMETRIC = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
}
"""What TensorRT accepts: no zero points, no INT32 biases, and the inputs of layers alone."""

CPU = {"OpTypesToExcludeOutputQuantization": ["MatMul", "Gemm"]}
"""What ONNX Runtime has kernels for: a convolution in INT8 must put out INT8, a product gives FP32 for less."""


@dataclass(frozen=True)
class Int8Writer:
    """Writes the graphs of a bundle in INT8.

    Attributes:
        bundle: has the FP32 graphs.
        calibration: the ranges of its layers' activations.
        variant: "int8", for TensorRT: symmetric INT8 into the layers, FP16 elsewhere; or "int8-cpu", for ONNX Runtime
            and OpenVINO: UINT8 activations, INT8 weights, FP32 elsewhere.
        float32: graph -> nodes that stay FP32, because FP16 does not hold their values.
    """

    bundle: Bundle
    calibration: Calibration
    variant: str
    float32: Mapping[str, Collection[str]]

    def write(self, name: str, target: Path, kept: Collection[str] = ()) -> None:
        """Writes one graph, whole or not at all; `kept` layers stay in higher precision.

        Raises:
            JsfError: onnx or onnxruntime is missing, or the graph cannot be converted.
        """
        ranged = MATCHER if name == "matcher" else name  # both matchers have the same layers
        ranges = self.calibration.inputs.get(ranged, {}), self.calibration.outputs.get(ranged, {})
        source, float32 = self.bundle.graph("fp32", name), self.float32.get(name, ())
        write_int8(source, target, self.variant, quantizable, ranges, kept, float32)


def write_int8(
    source: Path,
    target: Path,
    variant: str,
    layers_of: Callable[[Any], list[Layer]],
    ranges: tuple[Mapping[str, Range], Mapping[str, Range]],
    kept: Collection[str] = (),
    float32: Collection[str] = (),
    ends: Collection[str] = FLOAT32_ENDS,
) -> None:
    """Writes the INT8 version of one FP32 graph, whole or not at all.

    Args:
        source: an FP32 .onnx file with its weights inside.
        target: the .onnx file to write.
        variant: "int8" or "int8-cpu", as of `Int8Writer`.
        layers_of: a ModelProto's layers that can be INT8.
        ranges: layer -> the range of its input, and of its output; a layer without stays in higher precision.
        kept: layers that do.
        float32: nodes that stay FP32 where the others are FP16.
        ends: inputs and outputs that do.

    Raises:
        JsfError: onnx or onnxruntime is missing, or the graph cannot be converted.
    """
    onnx = require("onnx", "quantize")
    model = onnx.load(source)
    layers = [layer for layer in layers_of(model) if layer.name in ranges[0] and layer.name not in kept]
    if variant == CPU_INT8:
        _quantize(model, target, layers, ranges, "QUInt8", CPU)
        return
    with TemporaryDirectory() as folder:
        quantized = Path(folder) / source.name
        _quantize(model, quantized, [replace(layer, cut="") for layer in layers], ranges, "QInt8", SYMMETRIC)
        to_fp16(quantized, target, float32, ends)


def _quantize(
    model: Any,
    target: Path,
    layers: list[Layer],
    ranges: tuple[Mapping[str, Range], Mapping[str, Range]],
    kind: str,
    options: dict[str, Any],
) -> None:
    onnx, ort = require("onnx", "quantize"), require("onnxruntime.quantization", "quantize")
    if layers:
        inputs, outputs = ranges
        cuts = {layer.cut: outputs[layer.name] for layer in layers if layer.cut}
        found = {layer.input: inputs[layer.name] for layer in layers}
        found |= {layer.output: outputs[layer.name] for layer in layers}
        found |= {node.input[0]: cuts[node.name] for node in model.graph.node if node.name in cuts}
        data = {tensor: tuple(np.array(bound, np.float32) for bound in bounds) for tensor, bounds in found.items()}
        quantizer = ort.QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=ort.QuantType.QInt8,
            activation_qType=ort.QuantType[kind],
            tensors_range=ort.TensorsData(ort.CalibrationMethod.MinMax, data),
            nodes_to_quantize=[*(layer.name for layer in layers), *cuts],
            nodes_to_exclude=[],
            op_types_to_quantize=[*PRODUCTS, *CUTS] if cuts else list(PRODUCTS),
            extra_options=options,
        )
        quantizer.quantize_model()
        model = quantizer.model.model
    with replacing(target) as temporary:
        onnx.save(model, temporary)
