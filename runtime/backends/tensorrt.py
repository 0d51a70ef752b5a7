"""TensorRT 10.3 to 11.x and TensorRT-RTX: an engine, its sidecar, and CUDA memory through `device`."""

from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.base import Arrays, Graph
from jsf.runtime.backends.buffers import Buffers
from jsf.runtime.backends.contexts import Contexts
from jsf.runtime.backends.device import Device, open_device
from jsf.runtime.backends.driver import require_gpu
from jsf.runtime.backends.log import keeping_log
from jsf.runtime.backends.sidecar import (
    MODULES,
    EngineSidecar,
    Machine,
    buckets,
    obstacle,
    specs,
    this_platform,
)
from jsf.runtime.graph_folder import GraphFolder


class TensorRTGraph(Graph):
    """An engine on the first GPU.

    A read-only array (`array.flags.writeable = False`) that is passed again is not copied again: that is how an encoded
    gallery stays on the device. Arrays of any batch up to `limits` run; the caller splits larger ones. A matcher runs
    at its `buckets`, each of which is a profile of the engine. A batch shape that comes again is replayed as a CUDA
    graph, but for TensorRT over `pycuda`, which has none.

    Args:
        path: the .engine file; its sidecar is the .json beside it.
        graph_sha256: the SHA-256 of the bundle's graph, from which the engine must have been built.
        device: CUDA memory and the stream to run on; the process's own by default.

    Raises:
        JsfError: no GPU, TensorRT is missing, or the engine is not for this machine, damaged, or of another graph.
    """

    limits: dict[str, int]
    """Symbolic length -> its greatest value, such as {"B": 256} for an encoder."""

    def __init__(self, path: Path, graph_sha256: str, device: Device | None = None) -> None:
        self._path = path
        self._sidecar = EngineSidecar.read(path.with_suffix(".json"))
        self._sidecar.check_files(path, graph_sha256)
        gpu = require_gpu()  # a TensorRT runtime without a driver can crash the process
        trt = require(MODULES[self._sidecar.backend], self._sidecar.backend)
        if reason := self._sidecar.mismatch(Machine(trt.__version__, this_platform(), gpu.compute_capability)):
            raise self._refused(reason)
        self._device = device or open_device()
        self.inputs, self.outputs = specs(self._sidecar.inputs), specs(self._sidecar.outputs)
        self._load(trt)
        profiles = self._sidecar.profiles
        self.limits = {name: max(profile[name][-1] for profile in profiles) for name in profiles[0]}
        self.buckets = buckets(profiles)
        self.description = f"{self._sidecar.backend} {self._sidecar.version} on {gpu.name}"
        self._buffers = Buffers(self._device)

    def _load(self, trt: Any) -> None:
        self._log = keeping_log(trt)
        runtime, engine = load_engine(trt, self._log, self._path.read_bytes(), self._sidecar.version_compatible)
        if engine is None:
            raise self._refused("TensorRT refuses it: " + (" ".join(self._log.errors) or "no reason given"))
        if (found := _described(trt, engine)) != (expected := self._declared()):
            raise self._refused(f"it has the tensors {found}, its sidecar says {expected}")
        self._runtime = runtime  # TensorRT needs it as long as the engine
        memory = self._device.allocate(max(1, engine.device_memory_size_v2))
        numbers = range(len(self._sidecar.profiles))
        self._contexts = [Contexts(trt, engine, number, self._device, memory) for number in numbers]

    def _run(self, arrays: Arrays) -> Arrays:
        contexts = self._contexts[self._profile(self._lengths(arrays))]
        with self._device.lock:  # contexts and buffers are those of one run at a time, and so is the stream
            return self._execute(contexts, arrays)

    def _execute(self, contexts: Contexts, arrays: Arrays) -> Arrays:
        self._log.errors.clear()
        batch = contexts.at(tuple((name, array.shape) for name, array in arrays.items()))
        shapes = {spec.name: batch.output_shape(spec.name) for spec in self.outputs}
        addresses = {name: self._buffers.send(name, array) for name, array in arrays.items()}
        for spec in self.outputs:
            addresses[spec.name] = self._buffers.room(spec, shapes[spec.name])
        if not batch.run(addresses):
            raise JsfError(f"{self._path}: TensorRT refused the run: {' '.join(self._log.errors)}")
        fetched = {spec.name: self._buffers.fetch(spec, shapes[spec.name]) for spec in self.outputs}
        self._device.synchronize()
        return {name: staged.copy() for name, staged in fetched.items()}  # the next run overwrites what is staged

    def _lengths(self, arrays: Arrays) -> dict[str, int]:
        """The symbolic lengths that the inputs have; raises JsfError where two inputs disagree."""
        found: dict[str, int] = {}
        for spec in self.inputs:
            for name, length in zip(spec.shape, arrays[spec.name].shape, strict=True):
                if isinstance(name, str) and found.setdefault(name, length) != length:
                    raise JsfError(f"input '{spec.name}' has {name} = {length}, another input has {found[name]}.")
        return found

    def _profile(self, found: dict[str, int]) -> int:
        """The number of the profile that takes these lengths; raises JsfError where none does."""
        profiles = self._sidecar.profiles
        outside = [[name for name, n in found.items() if not p[name][0] <= n <= p[name][-1]] for p in profiles]
        if [] in outside:
            return outside.index([])
        name = min(outside, key=len)[0]  # what is wrong with the profile that is nearest
        ranges = [(p[name][0], p[name][-1]) for p in profiles]
        taken = " or ".join(dict.fromkeys(f"{a} to {b}" if a < b else str(a) for a, b in ranges))
        raise JsfError(f"{name} = {found[name]} is outside this engine's {taken}.", "Split the batch, or crop it.")

    def _declared(self) -> dict[str, Any]:
        tensors = (*self.inputs, *self.outputs)
        return {t.name: (t.dtype.name, [-1 if isinstance(d, str) else d for d in t.shape]) for t in tensors}

    def _refused(self, reason: str) -> JsfError:
        return JsfError(f"{self._path} cannot be loaded: {reason}.", self._sidecar.rebuild(self._path))


def load_engine(trt: Any, log: Any, plan: Any, version_compatible: bool) -> tuple[Any, Any]:
    """A serialized engine's runtime, which must live as long as the engine, and the engine; None where it is refused.

    A version-compatible engine carries code for the CPU, which runs here: as much to be trusted as a program.
    """
    runtime = trt.Runtime(log)
    runtime.engine_host_code_allowed = version_compatible
    return runtime, runtime.deserialize_cuda_engine(plan)


class NoEngineError(JsfError):
    """A folder has no engine that runs on this machine, though it may have some for others."""


def open_engine(folder: GraphFolder, precision: str, graph: str, device: Device | None = None) -> TensorRTGraph:
    """The engine of one graph, among all that a bundle or an extractor holds, that is for this machine.

    Raises:
        NoEngineError: there is none; each one that is there is named with the reason why it is not.
        JsfError: there is no GPU, or the engine is damaged or of another graph.
    """
    gpu = require_gpu()
    fitting, reasons = [], []
    for path in sorted(folder.engines.glob(f"*/{precision}/{graph}.json")):
        try:
            sidecar = EngineSidecar.read(path)
            reason = obstacle(sidecar, gpu)
        except JsfError as error:  # one that was left behind does not stand in the way of the others
            reason = error.message.removesuffix(".")
        if not reason:
            fitting.append((sidecar.version_compatible, sidecar.hardware_compatible, path.with_suffix(".engine")))
        else:
            reasons.append(f"{path.parent.relative_to(folder.root)}: {reason}.")
    if fitting:  # the first is the one that is for this machine alone: the fastest
        return TensorRTGraph(min(fitting)[-1], folder.hashes.get(precision, {}).get(graph, "absent"), device)
    flag = "" if precision == "fp32" else f" --{precision}"
    raise NoEngineError(
        "\n".join([f"{folder.root} has no {precision} engine of '{graph}' for this machine.", *reasons]),
        f"Build one here: jsf build-engine{flag} {folder.option} {folder.root}, or run with --device cpu.",
    )


def _described(trt: Any, engine: Any) -> dict[str, Any]:
    """Name -> (type, shape) of the engine's inputs and outputs, -1 for a symbolic length."""
    types = {trt.DataType.FLOAT: "float32", trt.DataType.HALF: "float16", trt.DataType.INT32: "int32"}
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    return {name: (types.get(engine.get_tensor_dtype(name)), list(engine.get_tensor_shape(name))) for name in names}
