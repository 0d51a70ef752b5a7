"""FP16 graphs from FP32 ones. Precision is a property of the graph, so every backend runs the same one."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsf.calibration.error import score_error
from jsf.calibration.inputs import Pairs
from jsf.calibration.overflow import overflowing
from jsf.calibration.samples import load_samples
from jsf.calibration.simulate import simulate_fp16
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.runtime.backends.base import Arrays
from jsf.runtime.bundle import Bundle

FLOAT32_ENDS = ["features", "clips", "scores"]
"""What stays FP32 at the graphs' ends. What becomes of videos and sentences is FP16: no cast runs over a gallery."""


def to_fp16(source: Path, target: Path, keep: Collection[str] = (), ends: Collection[str] = FLOAT32_ENDS) -> None:
    """Writes the FP16 version of one exported graph.

    Weights and activations become FP16; inputs and outputs among `ends` stay FP32; word ids, lengths and indices stay
    integers, and what is quantized stays INT8, with scales in FP16.
    A count of cells is exact: it is at most 17 * 17, and FP16 holds every integer up to 2048.

    Args:
        source: an FP32 .onnx file with its weights inside.
        target: the .onnx file to write, whole or not at all.
        keep: the names of nodes that stay FP32, as `overflowing` finds them, with what quantizes their inputs.
        ends: the names of inputs and outputs that stay FP32.

    Raises:
        JsfError: onnx or onnxruntime is missing, or the file is not a graph that can be converted.
    """
    onnx = require("onnx", "quantize")
    converter = require("onnxruntime.transformers.float16", "quantize")
    ordering = require("onnxruntime.transformers.onnx_model", "quantize")
    try:
        model = onnx.load(source)
        _forget_weights(model.graph)
        blocked = [*keep, *_quantizers(model.graph, keep)]
        model = converter.convert_float_to_float16(model, keep_io_types=list(ends), node_block_list=blocked)
        _join(onnx, model.graph)
        ordering.OnnxModel(model).topological_sort()  # the converter appends its casts at the end
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # onnx, protobuf and the converter raise classes without a common base
        raise JsfError(
            f"{source} cannot be converted to FP16: {error}", "Export it again: jsf export --ckpt best.pt"
        ) from error
    with replacing(target) as temporary:
        onnx.save(model, temporary)


def _forget_weights(graph: Any) -> None:
    """Removes weights from the list of typed values, where the converter takes them for activations in FP16."""
    weights = {weight.name for weight in graph.initializer}
    for value in [value for value in graph.value_info if value.name in weights]:
        graph.value_info.remove(value)


def _quantizers(graph: Any, keep: Collection[str]) -> Iterator[str]:
    """The names of the nodes that quantize what nodes read."""
    made = {output: node for node in graph.node for output in node.output}
    for name in (name for node in graph.node if node.name in keep for name in node.input):
        while name in made and made[name].op_type in ("QuantizeLinear", "DequantizeLinear"):
            yield made[name].name
            name = made[name].input[0]


def _join(onnx: Any, graph: Any) -> None:
    """Leaves out the way from FP32 to FP16 and back: between two nodes that stay FP32 nothing may overflow."""
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    types = {value.name: value.type.tensor_type.elem_type for value in (*graph.input, *graph.value_info)}
    casts = [node for node in graph.node if node.op_type == "Cast"]
    narrowed = {node.output[0]: node.input[0] for node in casts if node.attribute[0].i == half}
    joined = {}
    for node in casts:
        if node.attribute[0].i == single and node.input[0] in narrowed:
            node.input[0] = narrowed[node.input[0]]
            if types[node.input[0]] == single:  # others are masks and counts, and still need the cast
                joined[node.output[0]] = node.input[0]
    for node in graph.node:
        node.input[:] = [joined.get(name, name) for name in node.input]
    read = {name for node in graph.node for name in node.input} | {output.name for output in graph.output}
    for node in casts:
        if node.output[0] not in read:
            graph.node.remove(node)


def add_fp16(bundle: Bundle) -> dict[str, Any]:
    """Adds the FP16 graphs to a bundle, with their hashes and their measured score error in its manifest.

    Nodes whose values FP16 does not hold stay FP32.

    Returns:
        `manifest.losses["fp16"]`: the score error against FP32 on the stored samples, "fp32_nodes", and
        "accuracy": "not measured".

    Raises:
        JsfError: a graph cannot be converted, or FP16 scores are not finite; the bundle is then as it was.
    """
    samples = load_samples(bundle)
    kept = overflowing(bundle, samples)
    with replacing(bundle.root / "fp16") as folder:
        targets = write_fp16(bundle, folder, kept)
        loss = _measure(bundle, targets, samples)
        hashes = {name: sha256(target) for name, target in targets.items()}
    measured: dict[str, Any] = {
        **loss,
        "samples": "stored",
        "accuracy": "not measured",
        "fp32_nodes": {name: nodes for name, nodes in kept.items() if nodes},
    }
    bundle.publish({"fp16": hashes}, {"fp16": measured})
    return measured


def write_fp16(bundle: Bundle, folder: Path, kept: Mapping[str, Collection[str]]) -> dict[str, Path]:
    """Writes the FP16 version of every graph of a bundle into a folder; `kept` names each one's nodes that stay FP32.

    Returns:
        Graph -> its file.

    Raises:
        JsfError: as `to_fp16`.
    """
    targets = {name: folder / f"{name}.onnx" for name in bundle.manifest.graphs}
    for name, target in track(targets.items(), "converting to FP16", len(targets)):
        to_fp16(bundle.graph("fp32", name), target, kept[name])
    return targets


def _measure(bundle: Bundle, targets: dict[str, Path], samples: Pairs | dict[str, Arrays]) -> dict[str, float]:
    sources = {name: bundle.graph("fp32", name) for name in bundle.manifest.running_graphs}
    with TemporaryDirectory() as folder:
        simulated = {name: Path(folder) / f"{name}.onnx" for name in sources}
        for name, path in simulated.items():
            simulate_fp16(targets[name], path)
        return score_error(sources, simulated, samples)
