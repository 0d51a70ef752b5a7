"""CUDA memory and one stream, through `pycuda` or `cuda-python`: one interface, two implementations."""

import atexit
import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.driver import require_gpu


@dataclass(eq=False)
class Buffer:
    """Device memory, freed when the last reference to it goes."""

    address: int
    nbytes: int
    owner: Any = None


class Device(ABC):
    """The first GPU, and one stream on it: work runs in the order in which it is queued.

    Attributes:
        stream: the CUDA stream's handle, as TensorRT takes it.
    """

    stream: int

    @abstractmethod
    def allocate(self, nbytes: int) -> Buffer:
        """Device memory of `nbytes` > 0.

        Raises:
            JsfError: there is not that much.
        """

    @abstractmethod
    def upload(self, buffer: Buffer, array: npt.NDArray[Any]) -> None:
        """Queues a copy of a contiguous array into a buffer; the array stays as it is until `synchronize`."""

    @abstractmethod
    def download(self, array: npt.NDArray[Any], buffer: Buffer) -> None:
        """Queues a copy of a buffer into a contiguous array, which is filled after `synchronize`."""

    @abstractmethod
    def synchronize(self) -> None:
        """Waits for all that was queued."""


class PyCudaDevice(Device):
    """`pycuda`, in the primary context, which TensorRT shares; for the thread that opened it."""

    def __init__(self) -> None:
        require_gpu()
        self._cuda = require("pycuda.driver", "pycuda")
        self._cuda.init()
        context = self._cuda.Device(0).retain_primary_context()
        context.push()
        atexit.register(context.pop)  # pycuda aborts the process when its stack of contexts is not empty at exit
        self._stream = self._cuda.Stream()
        self.stream = int(self._stream.handle)

    def allocate(self, nbytes: int) -> Buffer:  # noqa: D102
        try:
            memory = self._cuda.mem_alloc(nbytes)
        except self._cuda.MemoryError as error:
            raise _exhausted(nbytes) from error
        return Buffer(int(memory), nbytes, memory)

    def upload(self, buffer: Buffer, array: npt.NDArray[Any]) -> None:  # noqa: D102
        self._cuda.memcpy_htod_async(buffer.address, array, self._stream)

    def download(self, array: npt.NDArray[Any], buffer: Buffer) -> None:  # noqa: D102
        self._cuda.memcpy_dtoh_async(array, buffer.address, self._stream)

    def synchronize(self) -> None:  # noqa: D102
        self._stream.synchronize()


class CudaPythonDevice(Device):
    """`cuda-python`: NVIDIA's own binding of the CUDA runtime."""

    def __init__(self) -> None:
        require_gpu()
        self._cuda = require("cuda.bindings.runtime", "tensorrt")
        self._call(self._cuda.cudaSetDevice(0))
        self.stream = int(self._call(self._cuda.cudaStreamCreate()))

    def allocate(self, nbytes: int) -> Buffer:  # noqa: D102
        error, address = self._cuda.cudaMalloc(nbytes)
        if error == self._cuda.cudaError_t.cudaErrorMemoryAllocation:
            raise _exhausted(nbytes)
        self._call((error,))
        buffer = Buffer(int(address), nbytes)
        weakref.finalize(buffer, self._cuda.cudaFree, buffer.address)
        return buffer

    def upload(self, buffer: Buffer, array: npt.NDArray[Any]) -> None:  # noqa: D102
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call(self._cuda.cudaMemcpyAsync(buffer.address, array.ctypes.data, array.nbytes, kind, self.stream))

    def download(self, array: npt.NDArray[Any], buffer: Buffer) -> None:  # noqa: D102
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call(self._cuda.cudaMemcpyAsync(array.ctypes.data, buffer.address, array.nbytes, kind, self.stream))

    def synchronize(self) -> None:  # noqa: D102
        self._call(self._cuda.cudaStreamSynchronize(self.stream))

    def _call(self, result: tuple[Any, ...]) -> Any:
        error, *values = result
        if error != self._cuda.cudaError_t.cudaSuccess:
            raise JsfError(f"CUDA failed: {error.name}.", "Check the GPU with `nvidia-smi`.")
        return values[0] if values else None


@cache
def open_device() -> Device:
    """The process's device: `pycuda` where it is installed, else `cuda-python`.

    Raises:
        JsfError: there is no GPU, or neither package.
    """
    require_gpu()
    return PyCudaDevice() if find_spec("pycuda") else CudaPythonDevice()


def _exhausted(nbytes: int) -> JsfError:
    return JsfError(
        f"the GPU has no {nbytes:,} bytes of free memory.", "Score smaller batches, or free the GPU (see `nvidia-smi`)."
    )
