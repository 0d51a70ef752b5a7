"""A batch without what none of its members has."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.levels import Levels


def cropped(levels: Levels) -> tuple[Tensor, ...]:
    """A batch as tensors, without the steps and the places that none of its members has."""
    arrays: list[npt.NDArray[Any]] = [levels.whole[:, : levels.lengths.max()], levels.lengths]
    if levels.parts is not None and levels.part_lengths is not None:
        lengths = levels.part_lengths[:, : max(1, (levels.part_lengths > 0).sum(1).max())]
        arrays += [levels.parts[:, : lengths.shape[1], : max(1, lengths.max())], lengths]
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
