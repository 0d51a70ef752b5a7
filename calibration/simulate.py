"""FP16 arithmetic on a CPU, for measuring.

ONNX Runtime has few FP16 kernels for CPUs: it computes the rest in FP32 and drops the casts in between, so that an FP16
graph shows neither the rounding of its activations nor their overflow.
"""

from pathlib import Path
from typing import Any

import numpy as np

from jsf.data.extras import require
from jsf.data.files import replacing


def simulate_fp16(source: Path, target: Path) -> None:
    """Writes an FP32 graph that rounds to FP16 where the FP16 graph `source` does: its weights, and every result.

    A sum inside one operation stays FP32, as in a GPU's tensor cores; an LSTM's state is rounded at its output only.
    What `source` computes in FP32 or in INT8 stays so; scales keep the values that they have in FP16.
    """
    onnx = require("onnx", "quantize")
    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    graph = model.graph
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    halves = {v.name for v in (*graph.value_info, *graph.output) if v.type.tensor_type.elem_type == half}
    nodes = []
    for node in graph.node:
        for attribute in node.attribute:
            _widen(onnx, attribute.t)
            if node.op_type == "Cast" and attribute.i == half:
                attribute.i = single
        rounded = [name for name in node.output if name in halves]
        node.output[:] = [f"{name}/exact" if name in halves else name for name in node.output]
        nodes.append(node)  # the casts below are explicit: ONNX Runtime drops only those that it inserted itself
        for name in rounded:
            nodes.append(onnx.helper.make_node("Cast", [f"{name}/exact"], [f"{name}/half"], to=half))
            nodes.append(onnx.helper.make_node("Cast", [f"{name}/half"], [name], to=single))
    for weight in graph.initializer:
        _widen(onnx, weight)
    for value in (*graph.input, *graph.output):
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = single
    del graph.value_info[:], graph.node[:]
    graph.node.extend(nodes)
    with replacing(target) as temporary:
        onnx.save(model, temporary)


def _widen(onnx: Any, tensor: Any) -> None:
    if tensor.data_type == onnx.TensorProto.FLOAT16:
        values = onnx.numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
