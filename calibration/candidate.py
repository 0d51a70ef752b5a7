"""Reduced graphs that are not in a bundle yet: scored on this CPU, as what runs them elsewhere would."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from jsf.calibration.accuracy import Scored, score_split
from jsf.calibration.gate import compare
from jsf.calibration.report import Report
from jsf.calibration.simulate import simulate_fp16
from jsf.calibration.table import Table
from jsf.data.split import Split
from jsf.runtime.backends.base import Graph
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import Bundle
from jsf.runtime.graph_folder import CPU_INT8
from jsf.runtime.graphs import Graphs
from jsf.runtime.load import scorer_of


def on_cpu(variant: str, path: Path, folder: Path) -> Path:
    """A graph that computes on this CPU what `path` computes where it will run; in `folder` where FP16 is simulated."""
    if variant == CPU_INT8:
        return path
    simulate_fp16(path, simulated := folder / path.name)
    return simulated


def score_candidate(bundle: Bundle, variant: str, paths: Mapping[str, Path], split: Split) -> Scored:
    """The scores of a table with other graphs in the place of a bundle's.

    Args:
        bundle: the bundle.
        variant: "fp16", "int8" or "int8-cpu".
        paths: graph -> file, of the names that a bundle has.
        split: the table.

    Raises:
        JsfError: a video has no features, or they are not of the kind that the model takes.
    """
    with TemporaryDirectory() as folder:
        graphs: dict[str, Graph] = {}
        for name in bundle.manifest.running_graphs:
            graphs[name] = OnnxRuntimeGraph(on_cpu(variant, paths[name], Path(folder)))
        return score_split(scorer_of(bundle, Graphs(graphs, variant)), split)


def measure(
    bundle: Bundle,
    variant: str,
    paths: Mapping[str, Path],
    table: Table,
    fp32: Scored,
    layers_fp16: Sequence[str],
    fp32_nodes: Mapping[str, Collection[str]],
    calibration: str = "",
    calibrated: int = 0,
) -> Report:
    """What a variant costs: its scores of a table beside `fp32`, the scores of the bundle's FP32 graphs.

    Raises:
        JsfError: a score is not finite, or as `score_candidate`.
    """
    reduced, held = score_candidate(bundle, variant, paths, table.split), table.held_out
    running = bundle.manifest.running_graphs
    return Report(
        variant=variant,
        whole=compare(fp32, reduced),
        held_out=compare(fp32.part(held), reduced.part(held)) if held.any() and not held.all() else None,
        bytes=sum(paths[name].stat().st_size for name in running),
        fp32_bytes=sum(bundle.graph("fp32", name).stat().st_size for name in running),
        calibration=calibration,
        calibrated=calibrated,
        layers_fp16=list(layers_fp16),
        fp32_nodes={name: list(nodes) for name, nodes in fp32_nodes.items() if nodes and variant != CPU_INT8},
    )
