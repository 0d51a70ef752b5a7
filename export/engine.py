"""`jsf build-engine`: a bundle's graphs in the precision asked for, and an engine of each. It runs without torch."""

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from jsf.calibration.fp16 import add_fp16
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import cache_folder, replacing, sha256
from jsf.export.plan import Plan, build_plan
from jsf.export.progress import monitor, progress_bar
from jsf.runtime.backends.driver import Gpu, find_gpu, require_gpu
from jsf.runtime.backends.sidecar import MODULES, EngineSidecar, this_platform
from jsf.runtime.bundle import Bundle

BACKENDS = ("auto", *MODULES, "onnxruntime")
PRECISIONS = {"fp32": "float32", "fp16": "float16"}
"""The precisions that can be built -> the type that an engine's layers then have."""


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


def build_engines(bundle: Bundle, precision: str, backend: str) -> list[Path]:
    """Adds the precision's graphs to the bundle where they are absent, and builds an engine of each static graph.

    Args:
        bundle: an opened bundle; its manifest gains the new graphs' hashes and their score error.
        precision: "fp32" or "fp16".
        backend: `choose_backend(...).backend`; for "onnxruntime" there are graphs and no engines.

    Returns:
        The .engine files, `engines/<backend>-<version>-<sm>/<precision>/<graph>.engine`, each with a sidecar .json.

    Raises:
        JsfError: the backend is not there, a graph cannot be converted or built, or the engine is of another precision.
    """
    if precision not in PRECISIONS:
        raise JsfError(f"precision '{precision}' cannot be built, expected one of: {', '.join(PRECISIONS)}.")
    if precision == "fp16" and "fp16" not in bundle.manifest.hashes:
        add_fp16(bundle)
    if backend == "onnxruntime":
        return []
    gpu = require_gpu() if backend == "tensorrt" else None
    trt = require(MODULES[backend], backend)
    graphs = bundle.manifest.static_graphs
    with progress_bar() as progress:
        task = progress.add_task(f"{backend} {precision}", total=len(graphs))
        folder = bundle.engines / f"{backend}-{trt.__version__}-{_sm(gpu)}"
        engines = [folder / precision / f"{graph}.engine" for graph in graphs]
        for graph, engine in zip(graphs, engines, strict=True):
            progress.update(task, description=f"{backend} {precision} {graph}")
            plan = build_plan(
                trt,
                bundle.graph(precision, graph),
                cache_folder() / "timing" / f"{folder.name}.cache",
                monitor(progress),
            )
            _check_precision(plan, precision, graph)
            with replacing(engine) as temporary:
                temporary.write_bytes(plan.engine)
            EngineSidecar(
                graph=graph,
                precision=precision,
                backend=backend,
                version=trt.__version__,
                platform=this_platform(),
                compute_capabilities=[gpu.compute_capability] if gpu else plan.compute_capabilities,
                graph_sha256=bundle.manifest.hashes[precision][graph],
                engine_sha256=sha256(engine),
                inputs=plan.inputs,
                outputs=plan.outputs,
                profile=plan.profile,
                layers=plan.layers,
                built={"jsf": version("jsf"), "device": gpu.name if gpu else "none (ahead of time)"},
            ).write(engine.with_suffix(".json"))
            progress.advance(task)
    return engines


def _automatic(gpu: Gpu | None) -> Choice:
    if gpu and find_spec("tensorrt"):
        return Choice("tensorrt", f"TensorRT and a GPU ({gpu.name}) are here")
    absent = "TensorRT is not installed" if gpu else "there is no GPU for TensorRT to build on"
    if find_spec("tensorrt_rtx"):
        stays = "" if gpu else "; scoring on this machine stays FP32"
        return Choice("tensorrt-rtx", f"{absent}, and TensorRT-RTX builds ahead of time, for GPUs elsewhere{stays}")
    reason = (
        f"{absent}, and TensorRT-RTX is not installed: no engine, only the graphs. Scoring on this machine stays FP32. "
        "For engines run this command where they will run, with a GPU and pip install '.[tensorrt]', "
        "or here after pip install '.[tensorrt-rtx]'"
    )
    return Choice("onnxruntime", reason)


def _sm(gpu: Gpu | None) -> str:
    return f"sm{gpu.compute_capability.replace('.', '')}" if gpu else "aot"


def _check_precision(plan: Plan, precision: str, graph: str) -> None:
    # A version that describes its layers in other words cannot be checked: the sidecar then holds no types.
    wanted = PRECISIONS[precision] in plan.layers
    if plan.layers and (not wanted or (precision == "fp32" and "float16" in plan.layers)):
        raise JsfError(
            f"the {precision} engine of '{graph}' was not built in {PRECISIONS[precision]}: "
            f"its layers by type are {plan.layers}.",
            "Build with another version of TensorRT, and report this one.",
        )
