"""What every backend offers: a loaded graph that maps named arrays to named arrays."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class TensorSpec:
    """A graph's input or output: its name, its type, and its shape, where a string names a symbolic length."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...]


class Graph(ABC):
    """A graph, loaded and ready. `run` checks; the subclass's `_run` does the work."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    limits: Mapping[str, int] = MappingProxyType({})
    """Symbolic length -> the greatest that it can have; a length that is not named has no limit."""
    buckets: Sequence[tuple[int, int]] = ()
    """The (frames, words) that a matcher with symbolic ones runs at; empty where it runs at any."""
    description: str
    """What runs where, as printed to the user: "onnxruntime 1.32.0 on cpu, fp32"."""

    @property
    def symbolic(self) -> bool:
        """Whether a matcher's frames and words are open."""
        return isinstance(self.inputs[0].shape[1], str)

    def run(self, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
        """Runs the graph once.

        Args:
            arrays: one array per input, by name; shapes as in `inputs`, floats are cast to the input's type.

        Returns:
            One array per output, by name.

        Raises:
            JsfError: an input is missing, unknown, of a wrong rank or length, or of a type that cannot be cast.
        """
        if set(arrays) != {spec.name for spec in self.inputs}:
            raise JsfError(f"the graph takes {[spec.name for spec in self.inputs]}, got {sorted(arrays)}.")
        return self._run({spec.name: _conform(spec, arrays[spec.name]) for spec in self.inputs})

    @abstractmethod
    def _run(self, arrays: Arrays) -> Arrays:
        """Runs checked, contiguous arrays of the inputs' exact types."""


def _conform(spec: TensorSpec, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    lengths = [(want, have) for want, have in zip(spec.shape, array.shape, strict=False) if isinstance(want, int)]
    if array.ndim != len(spec.shape) or any(want != have for want, have in lengths):
        raise JsfError(f"input '{spec.name}' is {list(array.shape)}, expected {list(spec.shape)}.")
    if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
        raise JsfError(f"input '{spec.name}' is {array.dtype}, expected {spec.dtype}.")
    return np.ascontiguousarray(array, spec.dtype)
