"""What an engine reads and writes on the device, and the page-locked memory through which it gets there and back."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.runtime.backends.base import TensorSpec
from jsf.runtime.backends.device import Buffer, Device


class Buffers:
    """One device buffer per tensor, as large as the largest batch seen; all of it is reused from run to run.

    A read-only array that is passed again is not copied again: that is how an encoded gallery stays on the device.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._buffers: dict[str, Buffer] = {}
        self._pinned: dict[str, npt.NDArray[np.uint8]] = {}
        self._resident: dict[str, npt.NDArray[Any]] = {}

    def send(self, name: str, array: npt.NDArray[Any]) -> int:
        """The address of an input's values, whose copy is queued where the device does not have them."""
        if self._resident.get(name) is array:
            return self._buffers[name].address
        self._resident.pop(name, None)
        buffer = self._buffer(name, array.nbytes)
        if not array.flags.writeable and not isinstance(array.base, np.ndarray):  # a view's base may yet be written
            self._device.upload(buffer, array)  # once, so page-locked memory of its size would be wasted
            self._resident[name] = array
        else:
            staged = self._staged(name, array.shape, array.dtype)
            np.copyto(staged, array)
            self._device.upload(buffer, staged)
        return buffer.address

    def room(self, spec: TensorSpec, shape: tuple[int, ...]) -> int:
        """The address of an output's buffer, which is large enough for the shape."""
        return self._buffer(spec.name, _nbytes(shape, spec.dtype)).address

    def fetch(self, spec: TensorSpec, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Queues an output's copy into page-locked memory, which is filled after `synchronize`, until the next run."""
        staged = self._staged(spec.name, shape, spec.dtype)
        self._device.download(staged, self._buffers[spec.name])
        return staged

    def _buffer(self, name: str, nbytes: int) -> Buffer:
        if name not in self._buffers or self._buffers[name].nbytes < nbytes:
            self._buffers.pop(name, None)  # freed before the larger one is allocated
            self._buffers[name] = self._device.allocate(nbytes)
        return self._buffers[name]

    def _staged(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        nbytes = _nbytes(shape, dtype)
        if name not in self._pinned or len(self._pinned[name]) < nbytes:
            self._pinned.pop(name, None)
            self._pinned[name] = self._device.pin(nbytes)
        return self._pinned[name][:nbytes].view(dtype).reshape(shape)


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return math.prod(shape) * dtype.itemsize
