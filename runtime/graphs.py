"""Which graph runs where: the device and the precision that were asked for, or the best that this machine has."""

from collections.abc import Sequence
from dataclasses import dataclass

from jsf.data.errors import JsfError
from jsf.runtime.backends.base import Graph
from jsf.runtime.backends.driver import find_gpu
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import PRECISIONS, STATIC_GRAPHS, Bundle

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Graphs:
    """The three graphs of a bundle, loaded.

    Attributes:
        description: what runs where, as printed to the user.
    """

    frame_encoder: Graph
    word_encoder: Graph
    matcher: Graph
    description: str


def load_graphs(bundle: Bundle, device: str = "auto", precision: str = "auto") -> Graphs:
    """Loads the graphs of a bundle.

    Args:
        bundle: the opened bundle.
        device: "cpu"; "cuda", an engine of the bundle, or ONNX Runtime where it has none; "auto", an engine where the
            bundle has one for this machine's GPU, else the CPU.
        precision: "fp32" or "fp16"; "auto", fp32 on a CPU and the smallest that has engines on a GPU.

    Raises:
        JsfError: what was asked for is not there. Only "auto" chooses.
    """
    if device not in DEVICES:
        raise JsfError(f"device '{device}' is not known, expected one of: {', '.join(DEVICES)}.")
    built = [name for name in reversed(PRECISIONS) if list(bundle.engines.glob(f"*/{name}/matcher.engine"))]
    wanted = [name for name in built if precision in ("auto", name)]
    why_not = ""
    if (device == "cuda" and wanted) or (device == "auto" and wanted and find_gpu()):
        from jsf.runtime.backends.tensorrt import NoEngineError, open_engine

        for name in wanted:
            try:
                return _described([open_engine(bundle, name, graph) for graph in STATIC_GRAPHS], name)
            except NoEngineError:
                if device == "cuda" and name == wanted[-1]:
                    raise
        why_not = "; no engine of the bundle is for this GPU: --device cuda says why"
    chosen = "fp32" if precision == "auto" else precision
    target = "cpu" if device == "auto" else device
    # The symbolic matcher runs at the lengths that a batch needs, and ONNX Runtime loses nothing by that.
    names = ("frame_encoder", "word_encoder", "matcher.buckets")
    return _described([OnnxRuntimeGraph(bundle.graph(chosen, name), target) for name in names], chosen + why_not)


def _described(graphs: Sequence[Graph], precision: str) -> Graphs:
    frame_encoder, word_encoder, matcher = graphs
    return Graphs(frame_encoder, word_encoder, matcher, f"{matcher.description}, {precision}")
