"""Which values leave the range of FP16, before anything is converted to it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.calibration.inputs import Pairs
from jsf.calibration.scoring import encode, slices
from jsf.data.extras import require
from jsf.runtime.backends.base import Arrays
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import Bundle
from jsf.runtime.matching import Encoded, batches

LARGEST = float(np.finfo(np.float16).max)

MARGIN = 4
"""How much larger than on the samples an activation may be elsewhere."""

AT_ONCE = 4
"""Pairs run at once: all activations of the matcher are in memory until their largest values are found."""


def overflowing(bundle: Bundle, samples: Pairs | Mapping[str, Arrays]) -> dict[str, list[str]]:
    """Runs the FP32 graphs of a bundle, and finds the nodes that FP16 is too narrow for.

    Args:
        bundle: has the graphs.
        samples: what flows through them, as `load_samples` gives it or of real data.

    Returns:
        Graph -> the names of nodes, in the graph's order, that must stay FP32.

    Raises:
        JsfError: onnx or onnxruntime is missing.
    """
    sources = {name: bundle.graph("fp32", name) for name in bundle.manifest.graphs}
    encoded = encode(sources, samples) if isinstance(samples, Pairs) else None
    return {
        name: overflowing_nodes(source, _batches(source, name, samples, encoded)) for name, source in sources.items()
    }


def overflowing_nodes(source: Path, inputs: Iterable[Arrays]) -> list[str]:
    """The nodes of an FP32 graph that read or write a weight above `LARGEST`, or an activation near it.

    Sums within an LSTM or a GRU are not looked at: before one overflows it has saturated its gate.

    Args:
        source: the .onnx file.
        inputs: batches of the graph's inputs; nothing of one is kept but the largest value of each activation.
    """
    onnx = require("onnx", "quantize")
    model = onnx.shape_inference.infer_shapes(onnx.load(source))
    weights = {weight.name: onnx.numpy_helper.to_array(weight) for weight in model.graph.initializer}
    wide = {name for name, weight in weights.items() if weight.dtype == np.float32 and _peak(weight) > LARGEST}
    values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
    floats = [value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    peaks = _peaks(onnx, source, [name for name in floats if name not in weights], inputs)
    wide |= {name for name, peak in peaks.items() if not peak <= LARGEST / MARGIN}
    return [node.name for node in model.graph.node if not wide.isdisjoint((*node.input, *node.output))]


def _peaks(onnx: Any, source: Path, names: Sequence[str], inputs: Iterable[Arrays]) -> dict[str, float]:
    """Activation -> its largest magnitude, from a graph that puts out nothing else."""
    model = onnx.load(source)
    del model.graph.output[:]
    for name in names:
        size = onnx.helper.make_node("Abs", [name], [f"{name}/size"])
        peak = onnx.helper.make_node("ReduceMax", [f"{name}/size"], [f"{name}/peak"], keepdims=0)
        model.graph.node.extend([size, peak])
        model.graph.output.append(onnx.helper.make_tensor_value_info(f"{name}/peak", onnx.TensorProto.FLOAT, []))
    with TemporaryDirectory() as folder:
        onnx.save(model, path := Path(folder) / source.name)
        graph = OnnxRuntimeGraph(path)
    peaks = dict.fromkeys(names, 0.0)
    for batch in inputs:
        found = graph.run(batch)
        peaks = {name: float(np.maximum(peak, found[f"{name}/peak"])) for name, peak in peaks.items()}
    return peaks


def _peak(values: npt.NDArray[np.float32]) -> float:
    return float(np.abs(values).max(initial=0))


def _batches(
    source: Path, name: str, samples: Pairs | Mapping[str, Arrays], encoded: tuple[Encoded, Encoded] | None
) -> Iterable[Arrays]:
    """What a graph is run on when samples are scored, a batch at a time, with a progress bar."""
    if not isinstance(samples, Pairs):
        return [samples[name]]
    assert encoded is not None
    encoders = {"frame_encoder": samples.videos, "word_encoder": samples.sentences}
    return slices(encoders[name], f"checking {name}") if name in encoders else _matched(source, samples, encoded)


def _matched(source: Path, pairs: Pairs, encoded: tuple[Encoded, Encoded]) -> Iterator[Arrays]:
    for _, inputs in batches(OnnxRuntimeGraph(source), *encoded, pairs.video_index, pairs.sentence_index):
        for start in range(0, len(inputs["video_index"]), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            yield {**inputs, **{key: inputs[key][some] for key in ("video_index", "sentence_index")}}
