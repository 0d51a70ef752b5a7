"""What an engine reads and writes on the device, and the page-locked memory through which it gets there and back."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.runtime.backends.base import TensorSpec
from jsf.runtime.backends.device import Buffer, Device

Key = tuple[str, tuple[int, ...]]
"""A tensor's name, and the shape of its rows."""


class Buffers:
    """One device buffer per tensor and size of its rows, as large as the largest batch seen; reused from run to run.

    A read-only array that is passed again is not copied again: that is how an encoded gallery stays on the device, at
    each size of a row, and so at each bucket of the matcher.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._buffers: dict[Key, Buffer] = {}
        self._pinned: dict[str, npt.NDArray[np.uint8]] = {}
        self._resident: dict[Key, npt.NDArray[Any]] = {}

    def send(self, name: str, array: npt.NDArray[Any]) -> int:
        """The address of an input's values, whose copy is queued where the device does not have them."""
        key = name, array.shape[1:]
        if self._resident.get(key) is array:
            return self._buffers[key].address
        self._resident.pop(key, None)
        buffer = self._buffer(key, array.nbytes)
        if not array.flags.writeable and not isinstance(array.base, np.ndarray):  # a view's base may yet be written
            self._device.upload(buffer, array)  # once, so page-locked memory of its size would be wasted
            self._resident[key] = array
        else:
            staged = self._staged(name, array.shape, array.dtype)
            np.copyto(staged, array)
            self._device.upload(buffer, staged)
        return buffer.address

    def room(self, spec: TensorSpec, shape: tuple[int, ...]) -> int:
        """The address of an output's buffer, which is large enough for the shape."""
        return self._buffer((spec.name, shape[1:]), _nbytes(shape, spec.dtype)).address

    def fetch(self, spec: TensorSpec, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Queues an output's copy into page-locked memory, which is filled after `synchronize`, until the next run."""
        staged = self._staged(spec.name, shape, spec.dtype)
        self._device.download(staged, self._buffers[spec.name, shape[1:]])
        return staged

    def _buffer(self, key: Key, nbytes: int) -> Buffer:
        if key not in self._buffers or self._buffers[key].nbytes < nbytes:
            self._buffers.pop(key, None)  # freed before the larger one is allocated
            self._buffers[key] = self._device.allocate(nbytes)
        return self._buffers[key]

    def _staged(self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        nbytes = _nbytes(shape, dtype)
        if name not in self._pinned or len(self._pinned[name]) < nbytes:
            self._pinned.pop(name, None)
            self._pinned[name] = self._device.pin(nbytes)
        return self._pinned[name][:nbytes].view(dtype).reshape(shape)


def _nbytes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    return math.prod(shape) * dtype.itemsize
