"""What each way to write the full-size matcher costs on each backend: which fusions of its graph are worth keeping.

    python benchmarks/fusions.py

Each variant has the same scores and differs from the plain graph in one thing. The weights are random, which changes no
time. All variants take turns on a backend at a size, and the median of the rounds counts.
"""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MethodType

import numpy as np
import onnx
import torch
from int8_speed import FEATURES, draw, measure
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from jsf.calibration.int8 import CPU
from jsf.calibration.layers import PRODUCTS, quantizable
from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.export.fused import SummedTaps
from jsf.export.graphs import draw_samples, write_matcher
from jsf.models.chd import Stage
from jsf.models.jsfusion import JSFusion, folded
from jsf.models.jst import JointSemanticTensor
from jsf.models.presets import preset
from jsf.runtime.backends.base import Arrays, Graph
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.graphs import open_graph

SIZES = ((40, 40, 4), (39, 9, 8))
"""Frames and words of the pairs that are timed, and how many at once."""

DEVICES = {"cpu": "ONNX Runtime", "openvino": "OpenVINO"}
PLAIN = "plain"


def plain(model: JSFusion) -> None:
    """As trained, batch norms folded."""


def join_d2_d3(model: JSFusion) -> None:
    """D2 and D3 as one product of 1,024 columns, which two slices take apart."""

    def refine(jst: JointSemanticTensor, t: Tensor) -> tuple[Tensor, Tensor]:
        attended, refined = torch.tanh(jst.d23(t)).chunk(2, -1)
        attention = jst.w(attended)
        return attention * jst.d4(refined), attention

    jst = the(model, JointSemanticTensor)
    d2, d3 = jst.d2.linear, jst.d3.linear
    jst.d23 = nn.Linear(d2.in_features, 2 * d2.out_features)
    set_weights(jst.d23, d2, d3)
    jst._refine = MethodType(refine, jst)


def join_convolution_gate(model: JSFusion) -> None:
    """A stage's convolution and its gate as one of 257 channels, which two slices take apart."""

    def forward(stage: Stage, joint: Tensor) -> tuple[Tensor, Tensor]:
        both = stage.both(joint)
        gate = torch.sigmoid(both[:, -1:])
        return both[:, :-1] * gate, gate

    for stage in (each for each in model.modules() if isinstance(each, Stage)):
        inner = stage.convolution
        stage.both = nn.Conv2d(inner.in_channels, inner.out_channels + 1, inner.kernel_size, inner.stride)
        set_weights(stage.both, inner, stage.gate)
        stage.forward = MethodType(forward, stage)


def flatten_cells(model: JSFusion) -> None:
    """The cells of all pairs as the rows of one matrix: each product and its bias are one Gemm."""
    refine = JointSemanticTensor._refine

    def flat(jst: JointSemanticTensor, t: Tensor) -> tuple[Tensor, Tensor]:
        joint, attention = refine(jst, t.flatten(0, -2))
        return joint.view(*t.shape[:-1], -1), attention.view(*t.shape[:-1], 1)

    jst = the(model, JointSemanticTensor)
    jst._refine = MethodType(flat, jst)


def sum_taps(model: JSFusion) -> None:
    """A gate as nine 1x1 taps and a shifted sum: what is exported."""
    for stage in (each for each in model.modules() if isinstance(each, Stage)):
        stage.gate = SummedTaps(stage.gate)


VARIANTS: dict[str, Callable[[JSFusion], None]] = {
    PLAIN: plain,
    "D2|D3 as one product": join_d2_d3,
    "conv|gate as one convolution": join_convolution_gate,
    "flattened cells": flatten_cells,
    "gate as summed taps (kept)": sum_taps,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=11)
    chosen = options.parse_args()
    logging.disable(logging.WARNING)  # onnxruntime's quantizer wants graphs of static lengths
    torch.manual_seed(0)
    model = JSFusion(preset("paper", "retrieval", FEATURES, 1001)).eval()
    with TemporaryDirectory() as folder:
        paths = write_variants(model, Path(folder))
        table = Table(title="the paper's matcher, ms a pair, and times faster than plain", title_justify="left")
        table.add_column("graph")
        cells = {name: [name] for name in VARIANTS}
        for device, kind in ((device, kind) for device in DEVICES for kind in ("fp32", "uint8")):
            try:
                graphs = {name: open_graph(paths[name, kind], device) for name in VARIANTS}
            except JsfError as error:
                Console(stderr=True).print(f"{DEVICES[device]} is left out: {error.message}")
                continue
            for frames, words, pairs in SIZES:
                table.add_column(f"{DEVICES[device]}\n{kind}\n{frames}x{words}", justify="right")
                inputs = draw(frames, words, pairs, graphs[PLAIN])
                times = measure(graphs, inputs, chosen)
                for name, seconds in times.items():
                    cells[name].append(f"{1e3 * seconds / pairs:.2f} ({times[PLAIN] / seconds:.2f}x)")
                if kind == "fp32":
                    check(graphs, inputs)
    for row in cells.values():
        table.add_row(*row)
    Console(width=200).print(table)


def write_variants(model: JSFusion, folder: Path) -> dict[tuple[str, str], Path]:
    """The file of each variant in "fp32" and "uint8"."""
    paths, samples = {}, draw_samples(model)
    for number, (name, change) in enumerate(track(VARIANTS.items(), "exporting", len(VARIANTS))):
        variant = folded(model)
        with torch.no_grad():
            change(variant)
        paths[name, "fp32"], paths[name, "uint8"] = (folder / f"{number}-{kind}.onnx" for kind in ("fp32", "uint8"))
        write_matcher(variant, samples, paths[name, "fp32"], symbolic=True)
        quantize(paths[name, "fp32"], paths[name, "uint8"])
    return paths


def quantize(source: Path, target: Path) -> None:
    """As `jsf build-engine --int8` does for CPUs, with the ranges of a few random pairs."""

    class Random(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches = iter([draw(20, 20, 2, OnnxRuntimeGraph(source))])

        def get_next(self) -> Arrays | None:
            return next(self._batches, None)

    quantize_static(
        source,
        target,
        Random(),
        nodes_to_quantize=[layer.name for layer in quantizable(onnx.load(source))],
        op_types_to_quantize=list(PRODUCTS),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options=CPU,
    )


def check(graphs: dict[str, Graph], inputs: Arrays) -> None:
    """Every variant has the plain graph's scores."""
    scores = {name: graph.run(inputs)["scores"] for name, graph in graphs.items()}
    for name, found in scores.items():
        difference = np.abs(found - scores[PLAIN]).max() / np.abs(scores[PLAIN]).max()
        assert difference < 1e-3, f"{name} differs by {difference:.1e}"


def the(model: JSFusion, kind: type[nn.Module]) -> nn.Module:
    """The one module of a kind."""
    return next(module for module in model.modules() if isinstance(module, kind))


def set_weights(layer: nn.Module, *parts: nn.Module) -> None:
    """The weights and the biases of layers beside each other, as one layer's."""
    layer.weight.copy_(torch.cat([part.weight for part in parts]))
    layer.bias.copy_(torch.cat([part.bias for part in parts]))


if __name__ == "__main__":
    main()
