"""The device through `cuda-python`."""

import ctypes
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.device import Buffer, Device, exhausted
from jsf.runtime.backends.driver import require_gpu


class CudaPythonDevice(Device):
    """`cuda-python`: NVIDIA's own binding of the CUDA runtime."""

    def __init__(self) -> None:
        super().__init__()
        require_gpu()
        self._cuda = require("cuda.bindings.runtime", "tensorrt")
        self._call(self._cuda.cudaSetDevice(0))
        # Work of other libraries in the default stream would otherwise wait for this one, and end a capture.
        self.stream = int(self._call(self._cuda.cudaStreamCreateWithFlags(self._cuda.cudaStreamNonBlocking)))

    def allocate(self, nbytes: int) -> Buffer:  # noqa: D102
        address = self._reserve("the GPU", nbytes, self._cuda.cudaMalloc(nbytes))
        buffer = Buffer(address, nbytes)
        weakref.finalize(buffer, self._cuda.cudaFree, address)
        return buffer

    def pin(self, nbytes: int) -> npt.NDArray[np.uint8]:  # noqa: D102
        flags = self._cuda.cudaHostAllocDefault
        address = self._reserve("the machine", nbytes, self._cuda.cudaHostAlloc(nbytes, flags))
        memory = (ctypes.c_uint8 * nbytes).from_address(address)
        weakref.finalize(memory, self._cuda.cudaFreeHost, address)  # every view of the array refers to it
        return np.ctypeslib.as_array(memory)

    def upload(self, buffer: Buffer, array: npt.NDArray[Any]) -> None:  # noqa: D102
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(self._cuda.cudaMemcpyAsync(buffer.address, array.ctypes.data, array.nbytes, kind, self.stream))

    def download(self, array: npt.NDArray[Any], buffer: Buffer) -> None:  # noqa: D102
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(self._cuda.cudaMemcpyAsync(array.ctypes.data, buffer.address, array.nbytes, kind, self.stream))

    def synchronize(self) -> None:  # noqa: D102
        self._call(self._cuda.cudaStreamSynchronize(self.stream))

    def capture(self, queue: Callable[[], bool]) -> Callable[[], None] | None:  # noqa: D102
        cuda, success = self._cuda, self._cuda.cudaError_t.cudaSuccess
        # Thread-local, so that what other threads do meanwhile does not end it.
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call(cuda.cudaStreamBeginCapture(self.stream, mode))
        queued, executable = False, None
        try:
            queued = queue()
        finally:  # a stream that goes on capturing would run nothing more
            error, graph = cuda.cudaStreamEndCapture(self.stream)
            if error == success:
                if queued:
                    error, executable = cuda.cudaGraphInstantiate(graph, 0)
                cuda.cudaGraphDestroy(graph)
        if error != success:
            cuda.cudaGetLastError()  # else the next call of this thread would report it
            return None
        return self._launcher(executable) if queued else None

    def _launcher(self, executable: Any) -> Callable[[], None]:
        def launch() -> None:
            self._call(self._cuda.cudaGraphLaunch(executable, self.stream))

        weakref.finalize(launch, self._cuda.cudaGraphExecDestroy, executable)
        return launch

    def _reserve(self, owner: str, nbytes: int, result: tuple[Any, Any]) -> int:
        if result[0] == self._cuda.cudaError_t.cudaErrorMemoryAllocation:
            raise exhausted(owner, nbytes)
        return int(self._call(result))

    def _call(self, result: tuple[Any, ...]) -> Any:
        error, *values = result
        if error != self._cuda.cudaError_t.cudaSuccess:
            raise JsfError(f"CUDA failed: {error.name}.", "Check the GPU with `nvidia-smi`.")
        return values[0] if values else None
