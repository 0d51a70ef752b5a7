"""The types that an engine's layers compute in, read back from TensorRT, and those that its graph asks for."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

TYPES = {
    "int8": ("Int8", "INT8"),
    "float16": ("Half", "FP16", "HALF"),
    "float32": ("Float", "FP32", "FLOAT"),
}
"""The types of a layer, narrowest first -> as TensorRT's versions write them."""

POINTWISE = "kgen"
"""TensorRT's name for the kernels that it generates around the products: casts, sums and activations."""

PRODUCTS = ("gemm", "correlation", "conv", "CaskConvolution", "CaskGemmConvolution", "MatrixMultiply")
"""TensorRT's names for what multiplies with weights, as far as they are known."""

RESHAPES = ("SHUFFLE", "SQUEEZE", "UNSQUEEZE")
"""What TensorRT's parser puts between a quantized value and the convolution that reads it."""


@dataclass(frozen=True)
class Layer:
    """A layer of a finished engine.

    Attributes:
        kind: TensorRT's name for what it does.
        nodes: the names of the graph's nodes that it computes, or computes a part of.
        reads: the types of its inputs, without constants; writes: of its outputs.
        profile: the number of the profile that it is of.
    """

    kind: str
    nodes: list[str]
    reads: set[str]
    writes: set[str]
    profile: int = 0


def logged_layers(lines: Iterable[str], profiles: int = 1) -> list[list[Layer]]:
    """The layers of each profile that a builder's log describes, one a line."""
    pattern = re.compile(
        r"LayerType: (?P<kind>[^,]*), Inputs: \[(?P<reads>.*?)\], Constants: \[.*\], Outputs: \[(?P<writes>.*?)\], "
        r"TacticName.*?(Metadata: (?P<nodes>.*))?$"
    )
    found = [match for line in lines if (match := pattern.search(line))]
    numbers = _profiles(match.string for match in found)
    layers = [
        Layer(m["kind"], _nodes(m["nodes"] or ""), _types(m["reads"]), _types(m["writes"]), number)
        for m, number in zip(found, numbers, strict=True)
    ]
    return [_of_profile(layers, number) for number in range(profiles)]


def inspected_layers(described: list[Any], profile: int = 0) -> list[Layer]:
    """The layers of a profile that an engine inspector describes, as objects of JSON; others are names alone."""
    parts = [part for part in described if isinstance(part, dict)]
    layers = [
        Layer(
            part.get("LayerType", ""),
            _nodes(part.get("Metadata", "")),
            _types(str(part.get("Inputs"))),
            _types(str(part.get("Outputs"))),
            number,
        )
        for part, number in zip(parts, _profiles(map(str, parts)), strict=True)
    ]
    return _of_profile(layers, profile)


def count_types(layers: list[Layer]) -> dict[str, int]:
    """Type -> the number of layers that read or write it."""
    return dict(Counter(name for part in layers for name in TYPES if name in part.reads | part.writes))


def asked_types(trt: Any, network: Any) -> dict[str, str]:
    """Layer with weights -> the type that the graph asks it to multiply in.

    It is INT8 where all that the layer multiplies was quantized, and else the type that it reads.
    """
    with_weights = (trt.LayerType.CONVOLUTION, trt.LayerType.MATRIX_MULTIPLY, trt.LayerType.RECURRENCE)
    layers = [network.get_layer(i) for i in range(network.num_layers)]
    sources = {layer.get_output(i).name: layer for layer in layers for i in range(layer.num_outputs)}
    asked = {}
    for layer in layers:
        nodes = _nodes(layer.metadata)
        if layer.type in with_weights and nodes:
            inputs = [layer.get_input(i) for i in range(layer.num_inputs)]
            quantized = len(inputs) > 1 and all(_quantized(tensor, sources) for tensor in inputs[:2])
            asked[nodes[0]] = "int8" if quantized else _narrowest(_types(f"Datatype: {inputs[0].dtype.name}"))
    return {name: kind for name, kind in asked.items() if kind}


def built_types(layers: list[Layer], asked: Iterable[str]) -> dict[str, str]:
    """Layer with weights -> the type that the engine multiplies in, for those that TensorRT still names.

    The products of recurrent layers lose their names; where all nameless products are of one type, it is theirs.
    """
    nameless = {_narrowest(part.reads) for part in layers if part.kind in PRODUCTS and part.reads and not part.nodes}
    built = {}
    for name in asked:
        parts = [part for part in layers if name in part.nodes and part.reads]
        products = [part for part in parts if part.kind != POINTWISE]
        if not products and len(nameless) == 1:
            (built[name],) = nameless
        elif parts:
            built[name] = _narrowest({kind for part in products or parts for kind in part.reads})
    return built


def _profiles(described: Iterable[str]) -> list[int]:
    """The number of each layer's profile: TensorRT puts "[profile 1]" after the graph's names, but for the first one.

    It describes one profile after the other, and a layer in between may have no name of the graph.
    """
    number, numbers = 0, []
    for text in described:
        if marked := re.search(r"\[profile (\d+)\]", text):
            number = int(marked[1])
        numbers.append(number)
    return numbers


def _of_profile(layers: list[Layer], number: int) -> list[Layer]:
    """The layers of one profile; all where TensorRT does not say which is whose."""
    return [part for part in layers if part.profile == number] or layers


def _quantized(tensor: Any, sources: dict[str, Any]) -> bool:
    while (layer := sources.get(tensor.name)) and layer.type.name in RESHAPES:
        tensor = layer.get_input(0)
    return layer is not None and layer.type.name == "DEQUANTIZE"


def _nodes(metadata: str) -> list[str]:
    return re.findall(r"\[ONNX Layer: ([^\]]*)\]", metadata)


def _types(text: str) -> set[str]:
    found = " ".join(re.findall(r"Datatype'?: '?([^'},]*)", text))
    return {name for name, words in TYPES.items() if any(word in found for word in words)}


def _narrowest(types: set[str]) -> str:
    return next((name for name in TYPES if name in types), "")
