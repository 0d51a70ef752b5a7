"""How long each layer of an engine takes, measured by TensorRT's own profiler on this machine's GPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.device import Buffer, Device, open_device
from jsf.runtime.backends.driver import require_gpu
from jsf.runtime.backends.log import keeping_log
from jsf.runtime.backends.sidecar import MODULES, EngineSidecar, specs
from jsf.runtime.backends.tensorrt import load_engine

RUNS = 20


Times = dict[str, float]
"""Layer -> its mean time in milliseconds, slowest first."""


def layer_times(path: Path, device: Device | None = None, runs: int = RUNS) -> list[Times]:
    """The times of each of the engine's profiles, on zeros at its usual lengths.

    It runs the engine itself, since a CUDA graph that is replayed reports no layers.

    Args:
        path: an .engine file that runs on this machine.
        device: CUDA memory and the stream to run on; the process's own by default.
        runs: how many are averaged, after one that is not counted.

    Raises:
        JsfError: there is no GPU, or TensorRT refuses the engine or the run.
    """
    require_gpu()  # a TensorRT runtime without a driver can crash the process
    sidecar = EngineSidecar.read(path.with_suffix(".json"))
    trt = require(MODULES[sidecar.backend], sidecar.backend)
    device = device or open_device()
    log = keeping_log(trt)
    _runtime, engine = load_engine(trt, log, path.read_bytes(), sidecar.version_compatible)
    own_memory = trt.ExecutionContextAllocationStrategy.STATIC
    context = engine.create_execution_context(own_memory) if engine else None
    if context is None:
        raise JsfError(f"{path} cannot be loaded: {' '.join(log.errors)}", sidecar.rebuild(path))
    found = []
    for number, profile in enumerate(sidecar.profiles):
        context.set_optimization_profile_async(number, device.stream)
        buffers = _bind(context, sidecar, profile, device)
        profiler = _profiler(trt)
        for run in range(runs + 1):
            if run == 1:  # the first one warms up
                context.profiler = profiler
            if not context.execute_async_v3(device.stream):
                raise JsfError(f"{path}: TensorRT refused the run: {' '.join(log.errors)}")
            device.synchronize()
        del buffers  # the engine reads and writes them until here
        found.append({name: ms / runs for name, ms in sorted(profiler.times.items(), key=lambda layer: -layer[1])})
    return found


def _bind(context: Any, sidecar: EngineSidecar, profile: Mapping[str, list[int]], device: Device) -> list[Buffer]:
    """Gives every input zeros at its usual length, and every output room; the buffers live as long as the list."""
    usual = {name: lengths[1] for name, lengths in profile.items()}
    buffers = []
    for spec in specs(sidecar.inputs):
        zeros = np.zeros([usual[d] if isinstance(d, str) else d for d in spec.shape], spec.dtype)
        context.set_input_shape(spec.name, zeros.shape)
        buffers.append(device.allocate(zeros.nbytes))
        device.upload(buffers[-1], zeros)
        device.synchronize()  # the zeros are read until here
        context.set_tensor_address(spec.name, buffers[-1].address)
    for spec in specs(sidecar.outputs):
        values = int(np.prod(tuple(context.get_tensor_shape(spec.name))))
        buffers.append(device.allocate(values * spec.dtype.itemsize))
        context.set_tensor_address(spec.name, buffers[-1].address)
    return buffers


def _profiler(trt: Any) -> Any:
    """A profiler for `trt` with `times`: layer -> the sum of its times, in milliseconds."""

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)  # the bindings need the explicit call
            self.times: dict[str, float] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times[layer_name] = self.times.get(layer_name, 0.0) + ms

    return Profiler()
