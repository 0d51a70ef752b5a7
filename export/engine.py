"""`jsf build-engine`: the backend to build for, and an engine of each graph that runs. It works without torch."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.export.builder import Builder
from jsf.export.options import HERE, BuildOptions
from jsf.export.progress import monitor, progress_bar
from jsf.runtime.backends.driver import Gpu, find_gpu, require_gpu
from jsf.runtime.backends.sidecar import LEAST_TENSORRT, MODULES, numbers
from jsf.runtime.graph_folder import PRECISIONS, GraphFolder

BACKENDS = ("auto", *MODULES, "onnxruntime")


@dataclass(frozen=True)
class Choice:
    """The backend that engines are built for, and why, in words for the user."""

    backend: str
    reason: str


def choose_backend(requested: str = "auto") -> Choice:
    """The backend to build for: TensorRT, else TensorRT-RTX ahead of time, else the reduced graphs alone.

    Args:
        requested: "auto", "tensorrt", "tensorrt-rtx" or "onnxruntime".

    Raises:
        JsfError: an explicit backend that cannot be had here; `auto` never fails.
    """
    if requested not in BACKENDS:
        raise JsfError(f"backend '{requested}' is not known, expected one of: {', '.join(BACKENDS)}.")
    gpu = find_gpu()
    if requested == "auto":
        return _automatic(gpu)
    if requested == "tensorrt" and gpu is None:
        raise JsfError(
            "TensorRT builds on the GPU that runs the engine, and this machine has no usable NVIDIA GPU.",
            "Run this command on the machine with the GPU, or leave --backend to its default here.",
        )
    if requested in MODULES:
        require(MODULES[requested], requested)
    return Choice(requested, "it was asked for")


def build_engines(folder: GraphFolder, precision: str, backend: str, options: BuildOptions = HERE) -> list[Path]:
    """Builds an engine of each graph that runs in a precision; none is written before all are built.

    Args:
        folder: an opened bundle or extractor, which has the precision's graphs.
        precision: "fp32", "fp16" or "int8".
        backend: `choose_backend(...).backend`; for "onnxruntime" there are no engines to build.
        options: what the engines are to run on beside this machine.

    Returns:
        The .engine files, `engines/<backend>-<version>-<sm>/<precision>/<graph>.engine`, each with a sidecar .json and
        the builder's .log.

    Raises:
        JsfError: the backend or a graph is not there, a graph cannot be built, the machine's memory is too small, or an
            engine computes in other types than its graph asks.
    """
    if precision not in PRECISIONS:
        raise JsfError(f"precision '{precision}' cannot be built, expected one of: {', '.join(PRECISIONS)}.")
    gpu = require_gpu() if backend == "tensorrt" else None
    options.check(backend, gpu)
    graphs = {name: folder.graph(precision, name) for name in folder.running_graphs}
    if backend == "onnxruntime":
        return []
    trt = require(MODULES[backend], backend)
    if backend == "tensorrt" and numbers(trt.__version__) < numbers(LEAST_TENSORRT):
        raise JsfError(f"TensorRT is {trt.__version__}, expected {LEAST_TENSORRT} or newer.", "See: jsf doctor")
    builder = Builder(trt, backend, precision, options, gpu)
    plans = {}
    with progress_bar() as progress:
        task = progress.add_task(builder.name, total=len(graphs))
        for name, graph in graphs.items():
            progress.update(task, description=f"{builder.name} {name}")
            plans[name] = builder.build(graph, monitor(progress))
            progress.advance(task)
    if precision == "int8" and not any("int8" in plan.asked.values() for plan in plans.values()):
        raise JsfError(f"{folder.root}: the int8 graphs quantize no layer.", "Make them again: jsf build-engine --int8")
    engines = [builder.write(plan, name, folder) for name, plan in plans.items()]
    for path in engines[0].parent.iterdir():
        if path.stem not in plans:  # an engine that an earlier jsf needed
            path.unlink()
    return engines


def _automatic(gpu: Gpu | None) -> Choice:
    if gpu and find_spec("tensorrt"):
        return Choice("tensorrt", f"TensorRT and a GPU ({gpu.name}) are here")
    absent = "TensorRT is not installed" if gpu else "there is no GPU for TensorRT to build on"
    if find_spec("tensorrt_rtx"):
        stays = "" if gpu else "; on this machine --precision scores with the graphs themselves, on the CPU"
        return Choice("tensorrt-rtx", f"{absent}, and TensorRT-RTX builds ahead of time, for GPUs elsewhere{stays}")
    reason = (
        f"{absent}, and TensorRT-RTX is not installed: no engine, only the graphs, which --precision scores with on "
        "the CPU. For engines run this command where they will run, with a GPU and pip install '.[tensorrt]', "
        "or here after pip install '.[tensorrt-rtx]'"
    )
    return Choice("onnxruntime", reason)
