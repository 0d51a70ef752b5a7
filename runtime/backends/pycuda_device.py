"""The device through `pycuda`."""

import atexit
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.extras import require
from jsf.runtime.backends.device import Buffer, Device, exhausted
from jsf.runtime.backends.driver import require_gpu


class PyCudaDevice(Device):
    """`pycuda`, in the primary context, which TensorRT shares; for the thread that opened it."""

    def __init__(self) -> None:
        super().__init__()
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
            raise exhausted("the GPU", nbytes) from error
        return Buffer(int(memory), nbytes, memory)

    def pin(self, nbytes: int) -> npt.NDArray[np.uint8]:  # noqa: D102
        try:
            memory: npt.NDArray[np.uint8] = self._cuda.pagelocked_empty(nbytes, np.uint8)
        except self._cuda.MemoryError as error:
            raise exhausted("the machine", nbytes) from error
        return memory

    def upload(self, buffer: Buffer, array: npt.NDArray[Any]) -> None:  # noqa: D102
        self._cuda.memcpy_htod_async(buffer.address, array, self._stream)

    def download(self, array: npt.NDArray[Any], buffer: Buffer) -> None:  # noqa: D102
        self._cuda.memcpy_dtoh_async(array, buffer.address, self._stream)

    def synchronize(self) -> None:  # noqa: D102
        self._stream.synchronize()

    def capture(self, queue: Callable[[], bool]) -> None:
        """`pycuda` has no CUDA graphs."""
