"""INT8 graphs from FP32 ones: one calibration, two ways to write it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from jsf.calibration.fp16 import to_fp16
from jsf.calibration.histogram import Range
from jsf.calibration.layers import PRODUCTS, quantizable
from jsf.calibration.ranges import Calibration
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.runtime.bundle import CPU_INT8, MATCHER, Bundle

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
        source = self.bundle.graph("fp32", name)
        ranged = MATCHER if name == "matcher" else name  # both matchers have the same layers
        inputs, outputs = (
            {layer: bounds for layer, bounds in ranges.get(ranged, {}).items() if layer not in kept}
            for ranges in (self.calibration.inputs, self.calibration.outputs)
        )
        if self.variant == CPU_INT8:
            _quantize(source, target, inputs, outputs, "QUInt8", CPU)
            return
        with TemporaryDirectory() as folder:
            quantized = Path(folder) / source.name
            _quantize(source, quantized, inputs, outputs, "QInt8", SYMMETRIC)
            to_fp16(quantized, target, self.float32.get(name, ()))


def _quantize(
    source: Path, target: Path, inputs: dict[str, Range], outputs: dict[str, Range], kind: str, options: dict[str, Any]
) -> None:
    onnx, ort = require("onnx", "quantize"), require("onnxruntime.quantization", "quantize")
    model = onnx.load(source)
    layers = [layer for layer in quantizable(model) if layer.name in inputs]
    if layers:
        ranges = {layer.input: inputs[layer.name] for layer in layers}
        ranges |= {layer.output: outputs[layer.name] for layer in layers}
        data = {tensor: tuple(np.array(bound, np.float32) for bound in bounds) for tensor, bounds in ranges.items()}
        quantizer = ort.QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=ort.QuantType.QInt8,
            activation_qType=ort.QuantType[kind],
            tensors_range=ort.TensorsData(ort.CalibrationMethod.MinMax, data),
            nodes_to_quantize=[layer.name for layer in layers],
            nodes_to_exclude=[],
            op_types_to_quantize=list(PRODUCTS),
            extra_options=options,
        )
        quantizer.quantize_model()
        model = quantizer.model.model
    with replacing(target) as temporary:
        onnx.save(model, temporary)
