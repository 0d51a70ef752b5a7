"""The layers of a graph that can compute in INT8: products with weights."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

PRODUCTS = ("Conv", "MatMul", "Gemm")
CUTS = ("Relu", "Clip")
"""What a layer in INT8 does for nothing: the ends of its output's range cut as they do."""


@dataclass(frozen=True)
class Layer:
    """A product of an activation with weights.

    Attributes:
        name: of its node, which is the path of its module: "jst.d2".
        input, output: the names of its activations.
        cut: the name of the node of `CUTS` that alone reads the layer and gives `output`; "" where that is none.
    """

    name: str
    input: str
    output: str
    cut: str = ""


def quantizable(model: Any) -> list[Layer]:
    """The layers of an ONNX ModelProto that INT8 is worth while for, in their order: all convolutions, and JST's.

    The rest costs little time and is where an error weighs most: the head sees one vector per pair, and D1 joins the
    features with their context, which have ranges of their own.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    return [
        Layer(node.name, node.input[0], node.output[0])
        for node in model.graph.node
        if node.op_type in PRODUCTS
        and node.input[1] in weights
        and (node.op_type == "Conv" or node.name.startswith("jst."))
    ]


def convolutions(model: Any) -> list[Layer]:
    """The convolutions and dense layers of a CNN, an ONNX ModelProto, in their order, each with what cuts its output.

    Before it is cut, an activation may have far greater values than after: a range of these would be a waste.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    readers = Counter(name for node in model.graph.node for name in node.input)
    readers.update(output.name for output in model.graph.output)
    cuts = {node.input[0]: node for node in model.graph.node if node.op_type in CUTS and readers[node.input[0]] == 1}
    layers = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and node.input[1] in weights:
            cut = cuts.get(node.output[0])
            layers.append(Layer(node.name, node.input[0], (cut or node).output[0], cut.name if cut else ""))
    return layers
