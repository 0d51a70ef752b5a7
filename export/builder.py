"""The engines of one precision: each built, compared with what its graph asks, and written with its sidecar and log."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.files import cache_folder, replacing, sha256
from jsf.export.memory import workspace
from jsf.export.options import BuildOptions
from jsf.export.plan import Plan, build_plan
from jsf.export.profiles import BUCKETS
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.log import keeping_log
from jsf.runtime.backends.sidecar import EngineSidecar, buckets, this_platform
from jsf.runtime.bundle import MATCHER
from jsf.runtime.graph_folder import GraphFolder

TYPES = {"fp32": ["float32"], "fp16": ["float16"], "int8": ["int8", "float16"]}
"""Precision -> the types of which each of its engines must have one; FP32 engines have no other."""


@dataclass(frozen=True)
class Builder:
    """Builds engines.

    Attributes:
        trt: the module tensorrt or tensorrt_rtx; backend: its name in bundles, "tensorrt" or "tensorrt-rtx".
        precision: "fp32", "fp16" or "int8".
        options: what the engines are to run on beside this machine.
        gpu: the one that is built on; None where engines are built ahead of time.
    """

    trt: Any
    backend: str
    precision: str
    options: BuildOptions
    gpu: Gpu | None

    @property
    def name(self) -> str:
        """What is built, in words: "tensorrt fp16"."""
        return f"{self.backend} {self.precision}"

    @property
    def folder(self) -> str:
        """The folder of engines for the same machine, "tensorrt-10.3.0-sm87"; "aot" of those that were built ahead."""
        target = f"sm{self.gpu.compute_capability.replace('.', '')}" if self.gpu else "aot"
        return f"{self.backend}-{self.trt.__version__}-{target}"

    def build(self, graph: Path, monitor: Callable[[Any], Any]) -> Plan:
        """Builds the engine of one graph.

        Args:
            graph: the .onnx file.
            monitor: makes the builder's progress monitor from `trt`.

        Raises:
            JsfError: the memory is too small, or TensorRT cannot build the graph in the types that it asks for; the
                message names the file with all that TensorRT said.
        """
        log = keeping_log(self.trt)
        timings = cache_folder() / "timing" / f"{self.folder}.cache"
        try:
            profiles = len(BUCKETS) if graph.stem == MATCHER else 1
            memory = workspace(graph, self.precision, profiles) if self.gpu and self.gpu.integrated else None
            plan = build_plan(self.trt, log, graph, self.options, timings, monitor, memory)
            if wrong := _wrong_types(plan, self.precision):
                raise JsfError(
                    f"the {self.precision} engine of '{graph.stem}' {wrong}.",
                    "Make its graphs again, or build with another version of TensorRT and report this one.",
                )
        except JsfError as error:
            if not log.messages:
                raise
            path = cache_folder() / "build-logs" / f"{self.folder}-{self.precision}-{graph.stem}.log"
            _write_log(path, log.messages)
            raise JsfError(f"{error.message}\nAll that TensorRT said is in {path}.", error.fix) from error
        return plan

    def write(self, plan: Plan, graph: str, folder: GraphFolder) -> Path:
        """Writes the engine of a folder's graph, its .log and its sidecar; the engine's path."""
        engine = folder.engines / self.folder / self.precision / f"{graph}.engine"
        with replacing(engine) as temporary:
            temporary.write_bytes(plan.engine)
        _write_log(engine.with_suffix(".log"), plan.log)
        EngineSidecar(
            graph=graph,
            precision=self.precision,
            backend=self.backend,
            version=self.trt.__version__,
            platform=this_platform(),
            compute_capabilities=[self.gpu.compute_capability] if self.gpu else plan.compute_capabilities,
            hardware_compatible=self.options.hardware_compatible,
            version_compatible=self.options.version_compatible,
            graph_sha256=folder.hashes[self.precision][graph],
            engine_sha256=sha256(engine),
            inputs=plan.inputs,
            outputs=plan.outputs,
            profiles=plan.profiles,
            layers=dict(sum(map(Counter, plan.layers), Counter())),
            types={name: kind for types in plan.types for name, kind in types.items()},
            built={"jsf": version("jsf"), "device": self.gpu.name if self.gpu else "none (ahead of time)"},
        ).write(engine.with_suffix(".json"))
        return engine


def _wrong_types(plan: Plan, precision: str) -> str:
    """What is wrong with an engine's types; "" where nothing is, or its TensorRT describes layers in other words."""
    for profile, layers, types in zip(plan.profiles, plan.layers, plan.types, strict=True):
        if wrong := _wrong_profile(layers, types, plan.asked, TYPES[precision]):
            return wrong + "".join(f" (at {frames} frames, {words} words)" for frames, words in buckets([profile]))
    return ""


def _wrong_profile(layers: dict[str, int], types: dict[str, str], asked: dict[str, str], wanted: list[str]) -> str:
    found = set(layers)
    by_type = f"its layers by type are {layers}"
    if not found:
        return ""
    if not found & set(wanted) or (wanted == TYPES["fp32"] and found != set(wanted)):
        return f"was not built in {wanted[0]}: {by_type}"
    if absent := sorted(set(asked.values()) - found):
        return f"computes nothing in {' or '.join(absent)}, as its graph asks: {by_type}"
    others = {name: kind for name, kind in types.items() if kind != asked[name]}
    listed = "; ".join(f"{name} in {kind}, not {asked[name]}" for name, kind in others.items())
    return f"does not compute in the types that its graph asks for: {listed}" if others else ""


def _write_log(path: Path, messages: Iterable[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("".join(f"{message}\n" for message in messages), encoding="utf-8")
