"""CUDA memory and one stream: one interface, for `pycuda` and for `cuda-python`."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
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
        lock: held by whoever queues into the stream, until all of it has run: a graph that is captured meanwhile would
            take another thread's copies in.
    """

    stream: int

    def __init__(self) -> None:
        self.lock = Lock()

    @abstractmethod
    def allocate(self, nbytes: int) -> Buffer:
        """Device memory of `nbytes` > 0.

        Raises:
            JsfError: there is not that much.
        """

    @abstractmethod
    def pin(self, nbytes: int) -> npt.NDArray[np.uint8]:
        """Page-locked memory [nbytes] of the host, which the GPU copies from and to without the CPU's help.

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

    @abstractmethod
    def capture(self, queue: Callable[[], bool]) -> Callable[[], None] | None:
        """Captures what `queue` puts into the stream as a CUDA graph, without running it.

        Returns:
            What queues all of it again at once; None where it cannot be captured: `queue` returned False, CUDA refused,
            or the package has no CUDA graphs.
        """


@cache
def open_device() -> Device:
    """The process's device: `pycuda` where it is installed, else `cuda-python`.

    Raises:
        JsfError: there is no GPU, or neither package.
    """
    require_gpu()
    if find_spec("pycuda"):
        from jsf.runtime.backends.pycuda_device import PyCudaDevice

        return PyCudaDevice()
    from jsf.runtime.backends.cuda_python_device import CudaPythonDevice

    return CudaPythonDevice()


def exhausted(owner: str, nbytes: int) -> JsfError:
    """The error where the GPU, or the machine, has less memory than is asked for."""
    return JsfError(
        f"{owner} has no {nbytes:,} bytes of free memory.", "Score smaller batches, or free memory (see `nvidia-smi`)."
    )
