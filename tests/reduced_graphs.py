"""Adds the FP16 and INT8 graphs that TensorRT takes to a bundle, calibrated on noise: enough to build engines of."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from jsf.calibration.fp16 import to_fp16
from jsf.data.files import sha256

PRODUCTS = ["Conv", "Gemm", "MatMul"]
OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "AddQDQPairToWeight": True,
    "QuantizeBias": False,
    "OpTypesToExcludeOutputQuantization": PRODUCTS,
}
LENGTHS = {"frames": 40, "words": 40}
IN_FP16 = ("head.", "context.lstm")
"""Layers that an INT8 graph leaves in FP16."""


class _Noise(CalibrationDataReader):
    def __init__(self, model):
        self._batches = iter([_noise(model, np.random.default_rng(seed)) for seed in range(2)])

    def get_next(self):
        return next(self._batches, None)


def _noise(model, generator):
    arrays = {}
    for value in model.graph.input:
        kind = value.type.tensor_type
        shape = [d.dim_value or LENGTHS.get(d.dim_param, 4) for d in kind.shape.dim]
        if kind.elem_type == onnx.TensorProto.FLOAT:
            arrays[value.name] = generator.standard_normal(shape).astype(np.float32)
        else:  # lengths, blanks, indices and words are all below 4 somewhere
            low = 3 if value.name.endswith("lengths") else 0
            arrays[value.name] = generator.integers(low, 4, shape).astype(np.int32)
    return arrays


def add_graphs(bundle, precision):
    """Writes the graphs of "fp16" or "int8" and enters their hashes in the bundle's manifest."""
    targets = {name: bundle.root / precision / f"{name}.onnx" for name in bundle.manifest.graphs}
    with TemporaryDirectory() as folder:
        for name, target in targets.items():
            source = bundle.graph("fp32", name)
            if precision == "int8" and name != "word_encoder":
                source = _quantized(source, Path(folder) / f"{name}.onnx")
            to_fp16(source, target)
    bundle.publish({precision: {name: sha256(target) for name, target in targets.items()}}, {})
    return bundle


def _quantized(source, target):
    model = onnx.load(source)
    products = [node.name for node in model.graph.node if node.op_type in PRODUCTS]
    quantize_static(
        source,
        target,
        _Noise(model),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=PRODUCTS,
        nodes_to_quantize=[name for name in products if not name.startswith(IN_FP16)],
        extra_options=OPTIONS,
    )
    return target
