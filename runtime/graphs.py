"""Which graph runs where: the device and the precision that were asked for, or the best that this machine has."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.runtime.backends.base import Graph
from jsf.runtime.backends.driver import find_gpu
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.backends.openvino import OpenVinoGraph
from jsf.runtime.graph_folder import CPU_INT8, PRECISIONS, GraphFolder

DEVICES = ("auto", "cpu", "openvino", "cuda")


@dataclass(frozen=True)
class Graphs:
    """The graphs of a folder, loaded.

    Attributes:
        by_name: the folder's `running_graphs`.
        description: what runs where, as printed to the user.
    """

    by_name: dict[str, Graph]
    description: str

    def __getitem__(self, name: str) -> Graph:
        """A graph by its name."""
        return self.by_name[name]


def load_graphs(folder: GraphFolder, device: str = "auto", precision: str = "auto", threads: int = 0) -> Graphs:
    """Loads the graphs of a bundle or of an extractor.

    Args:
        folder: opened.
        device: "cpu"; "openvino", the CPU too; "cuda", an engine of the folder, or ONNX Runtime where it has none;
            "auto", an engine where the folder has one for this machine's GPU, else "cpu".
        precision: "fp32", "fp16" or "int8"; "auto", fp32 on a CPU and the smallest that has engines on a GPU.
        threads: of a run by ONNX Runtime on the CPU; 0, as many as there are cores.

    Raises:
        JsfError: what was asked for is not there. Only "auto" chooses.
    """
    if device not in DEVICES:
        raise JsfError(f"device '{device}' is not known, expected one of: {', '.join(DEVICES)}.")
    names = folder.running_graphs
    built = [name for name in reversed(PRECISIONS) if list(folder.engines.glob(f"*/{name}/*.engine"))]
    wanted = [name for name in built if precision in ("auto", name)]
    why_not = ""
    if (device == "cuda" and wanted) or (device == "auto" and wanted and find_gpu()):
        from jsf.runtime.backends.tensorrt import NoEngineError, open_engine

        for name in wanted:
            try:
                return _described({graph: open_engine(folder, name, graph) for graph in names}, name)
            except NoEngineError:
                if device == "cuda" and name == wanted[-1]:
                    raise
        why_not = f"; no engine of {folder.root} is for this GPU: --device cuda says why"
    chosen = "fp32" if precision == "auto" else precision
    target = "cpu" if device == "auto" else device
    variant = CPU_INT8 if chosen == "int8" and target != "cuda" else chosen
    loaded = {name: open_graph(folder.graph(variant, name), target, threads) for name in names}
    return _described(loaded, chosen + why_not)


def open_graph(path: Path, device: str, threads: int = 0) -> Graph:
    """Loads an ONNX file: "openvino", or "cpu" or "cuda" of ONNX Runtime; arguments and errors as theirs."""
    return OpenVinoGraph(path) if device == "openvino" else OnnxRuntimeGraph(path, device, threads)


def _described(graphs: Mapping[str, Graph], precision: str) -> Graphs:
    return Graphs(dict(graphs), f"{list(graphs.values())[-1].description}, {precision}")
