"""Execution contexts of an engine's profiles, one per batch shape, and the CUDA graph that repeats a run of each."""

from collections.abc import Callable
from typing import Any

from jsf.data.errors import JsfError
from jsf.runtime.backends.device import Buffer, Device

KEPT = 4
"""Batch shapes of a profile with a context of their own: the full batch and what is left over, of two collections."""

Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Each input's name and shape."""


class Contexts:
    """The contexts of one profile; the least recently used one is given to a new batch shape.

    NVIDIA documents that a context must not change while a CUDA graph of it is in use, so each shape has its own, made
    when it is first needed. All run in one stream, one after the other, and share the memory for what lies between
    inputs and outputs.

    Args:
        trt: the module tensorrt or tensorrt_rtx.
        engine: the engine; profile: the number of its profile.
        device: the stream to run on.
        memory: as much as the largest of the engine's profiles needs.
    """

    def __init__(self, trt: Any, engine: Any, profile: int, device: Device, memory: Buffer) -> None:
        self._trt, self._engine, self._profile = trt, engine, profile
        self._device, self._memory = device, memory
        # TensorRT-RTX keeps CUDA graphs by itself, once it has compiled the kernels for a shape, in one context.
        self._by_itself = hasattr(trt, "CudaGraphStrategy")
        self._kept: dict[Shapes, Batch] = {}

    def at(self, shapes: Shapes) -> "Batch":
        """The context for inputs of these shapes, which stays theirs until KEPT others have been used.

        Raises:
            JsfError: TensorRT refuses a shape, or has no memory for another context.
        """
        batch = self._kept.pop(shapes, None) or Batch(self._free(), shapes, self._device, not self._by_itself)
        self._kept[shapes] = batch  # the last is the latest used
        return batch

    def _free(self) -> Any:
        if len(self._kept) < (1 if self._by_itself else KEPT):
            return self._create()
        return self._kept.pop(next(iter(self._kept))).context

    def _create(self) -> Any:
        how = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        if self._by_itself:
            settings = self._engine.create_runtime_config()
            settings.cuda_graph_strategy = self._trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            settings.set_execution_context_allocation_strategy(how)
            how = settings
        context = self._engine.create_execution_context(how)
        if context is None:
            raise JsfError("TensorRT made no execution context.", "Free memory on the GPU (see `nvidia-smi`).")
        if not context.set_optimization_profile_async(self._profile, self._device.stream):
            raise JsfError(f"TensorRT refused the engine's profile {self._profile}.")
        context.set_device_memory(self._memory.address, self._memory.nbytes)
        return context


class Batch:
    """An execution context at the shapes of one batch."""

    def __init__(self, context: Any, shapes: Shapes, device: Device, captures: bool) -> None:
        self.context = context
        self._device, self._captures = device, captures
        self._addresses: dict[str, int] = {}
        self._runs = 0
        self._replay: Callable[[], None] | None = None
        for name, shape in shapes:
            if not context.set_input_shape(name, shape):
                raise JsfError(f"TensorRT refused the shape {list(shape)} of '{name}'.")

    def output_shape(self, name: str) -> tuple[int, ...]:
        """The shape of an output for this context's inputs."""
        return tuple(self.context.get_tensor_shape(name))

    def run(self, addresses: dict[str, int]) -> bool:
        """Queues a run over tensors at these addresses; False where TensorRT refuses it.

        The second run over the same addresses is captured as a CUDA graph, which is what later ones queue. A run that
        cannot be captured, such as one with a loop in it, is queued layer by layer every time: the same work.
        """
        if addresses != self._addresses:  # a buffer has moved, and a graph would read and write where it was
            for name, address in addresses.items():
                self.context.set_tensor_address(name, address)
            self._addresses, self._runs, self._replay = addresses, 0, None
        self._runs += 1
        if self._runs == 2 and self._captures:  # the first run did the work that a change of shapes leaves behind
            self._replay = self._device.capture(self._enqueue)
        if self._replay is None:
            return self._enqueue()
        self._replay()
        return True

    def _enqueue(self) -> bool:
        return bool(self.context.execute_async_v3(self._device.stream))
