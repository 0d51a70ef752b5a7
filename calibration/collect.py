"""Activation ranges over real pairs: the FP32 graphs are run, and what flows through their layers is counted."""

from collections.abc import Collection, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from jsf.calibration.histogram import METHODS, Histogram
from jsf.calibration.inputs import Pairs
from jsf.calibration.layers import Layer, quantizable
from jsf.calibration.ranges import Calibration, Ranges
from jsf.calibration.scoring import encode, slices
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.base import Arrays, Graph
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import MATCHER, Bundle
from jsf.runtime.matching import batches

GRAPHS = ("frame_encoder", MATCHER)
"""Those with layers for INT8. The static matcher has the layers of the symbolic one, which meets less padding."""


def calibrate(bundle: Bundle, pairs: Pairs, method: str) -> Calibration:
    """Runs the FP32 graphs over the pairs on the CPU, a batch at a time, and takes the range of each activation.

    Raises:
        JsfError: the method is not known, or an activation is not finite.
    """
    check_method(method)
    inputs: Ranges = {}
    outputs: Ranges = {}
    for name in GRAPHS:
        layers, histograms = count(bundle, pairs, name)
        ranges = {tensor: METHODS[method](histogram) for tensor, histogram in histograms.items()}
        inputs[name] = {layer.name: ranges[layer.input] for layer in layers}
        outputs[name] = {layer.name: ranges[layer.output] for layer in layers}
    return Calibration(calibrated_graphs(bundle), pairs.digest, len(pairs.video_index), method, inputs, outputs)


def check_method(method: str) -> None:
    """Raises JsfError where a method is none of `METHODS`."""
    if method not in METHODS:
        raise JsfError(f"calibration method '{method}' is not known, expected one of: {', '.join(METHODS)}.")


def calibrated_graphs(bundle: Bundle) -> dict[str, str]:
    """The SHA-256 of the graphs that are calibrated, and of the one whose outputs they read."""
    return {name: bundle.manifest.hashes["fp32"][name] for name in (*GRAPHS, "word_encoder")}


def calibrated_layers(bundle: Bundle) -> dict[str, list[str]]:
    """The names of the layers that can be INT8, by graph."""
    onnx = require("onnx", "quantize")
    return {name: [layer.name for layer in quantizable(onnx.load(bundle.graph("fp32", name)))] for name in GRAPHS}


def count(bundle: Bundle, pairs: Pairs, name: str) -> tuple[list[Layer], dict[str, Histogram]]:
    """The layers of one of `GRAPHS`, and by tensor the histogram of what goes into and comes out of them."""
    onnx = require("onnx", "quantize")
    source = bundle.graph("fp32", name)
    layers = quantizable(onnx.load(source))
    histograms = {tensor: Histogram() for layer in layers for tensor in (layer.input, layer.output)}
    graph = watched(source, histograms)
    frames = slices(pairs.videos, f"measuring {name}")
    for inputs in frames if name == "frame_encoder" else _matched(bundle, pairs, graph):
        outputs = graph.run(inputs)
        for tensor, histogram in histograms.items():
            histogram.add(outputs[tensor])
    return layers, histograms


def watched(source: Path, tensors: Collection[str]) -> Graph:
    """An FP32 graph that puts out these of its activations too."""
    onnx = require("onnx", "quantize")
    model = onnx.load(source)
    there = {value.name for value in model.graph.output}
    float32 = onnx.TensorProto.FLOAT
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(tensor, float32, None) for tensor in sorted(set(tensors) - there)
    )
    with TemporaryDirectory() as folder:
        onnx.save(model, path := Path(folder) / source.name)
        return OnnxRuntimeGraph(path)


def _matched(bundle: Bundle, pairs: Pairs, matcher: Graph) -> Iterator[Arrays]:
    graphs = {name: bundle.graph("fp32", name) for name in ("frame_encoder", "word_encoder")}
    for _, inputs in batches(matcher, *encode(graphs, pairs), pairs.video_index, pairs.sentence_index):
        yield inputs
