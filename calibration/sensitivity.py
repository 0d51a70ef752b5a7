"""Which layers cost accuracy in INT8: each is left out in turn."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from jsf.calibration.candidate import on_cpu
from jsf.calibration.inputs import Pairs
from jsf.calibration.int8 import Int8Writer
from jsf.calibration.scoring import score_pairs
from jsf.data.progress import track


def layer_costs(writer: Int8Writer, pairs: Pairs, kept: Collection[str]) -> dict[str, float]:
    """Layer -> the share of the mean score error that goes when it stays in higher precision; the costliest first.

    Args:
        writer: of the variant that is to be measured.
        pairs: to score.
        kept: layers that stay in higher precision anyhow.
    """
    graphs = writer.bundle.manifest.running_graphs
    fp32 = score_pairs({name: writer.bundle.graph("fp32", name) for name in graphs}, pairs)
    with TemporaryDirectory() as folder:

        def written(name: str, without: Collection[str], place: str) -> Path:
            writer.write(name, target := Path(folder) / place / "written" / f"{name}.onnx", without)
            return on_cpu(writer.variant, target, Path(folder) / place)

        whole = {name: written(name, kept, "whole") for name in graphs}

        def error(paths: dict[str, Path]) -> float:
            return float(np.abs(score_pairs(paths, pairs) - fp32).mean())

        owners = {layer: name for name in graphs for layer in writer.calibration.inputs.get(name, {})}
        return leave_out(
            lambda layer: error({**whole, owners[layer]: written(owners[layer], {*kept, layer}, "changed")}),
            [layer for layer in owners if layer not in kept],
            error(whole),
        )


def leave_out(error_without: Callable[[str], float], layers: Sequence[str], error: float) -> dict[str, float]:
    """Layer -> the share of an error that goes when it stays in higher precision; the costliest first.

    Args:
        error_without: a layer -> the error when it stays so.
        layers: those to try.
        error: when all of them are INT8.
    """
    costs = {
        layer: 1 - error_without(layer) / (error or 1.0)
        for layer in track(layers, "leaving out each layer", len(layers))
    }
    return dict(sorted(costs.items(), key=lambda cost: -cost[1]))
