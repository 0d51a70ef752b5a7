"""The layers of a graph that can compute in INT8: products with weights."""

from dataclasses import dataclass
from typing import Any

PRODUCTS = ("Conv", "MatMul", "Gemm")


@dataclass(frozen=True)
class Layer:
    """A product of an activation with weights.

    Attributes:
        name: of its node, which is the path of its module: "jst.d2".
        input, output: the names of its activations.
    """

    name: str
    input: str
    output: str


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
