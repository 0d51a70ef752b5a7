"""The length algebra of the matcher: the smallest static sizes at which a pair keeps its exact score."""

from typing import Any

import numpy as np
import numpy.typing as npt

MIN_STEPS = 7
"""The shortest input that three 3x3 convolutions of strides 1, 1, 2 reduce to one cell: 7 -> 5 -> 3 -> 1."""

STRIDES = (1, 1, 2)
"""Of CHD's three stages, over frames and over words."""

FRAME_BUCKETS = (7, 11, 15, 19, 23, 27, 31, 35, 39)
LEFT_FRAME_BUCKETS = (8, 12, 16, 20, 24, 28, 32, 36, 40)
"""Where padding is on the left."""

WORD_BUCKETS = (7, 9, 11, 13, 15, 19, 23, 31, 39, 40)
"""Dense where captions are; 40 is for a blank that is the fortieth word."""


def needed_steps(lengths: npt.NDArray[np.integer[Any]], left_padded: bool = False) -> npt.NDArray[np.integer[Any]]:
    """The smallest size that gives each of these lengths [B] its exact score.

    A cell past the true lengths is masked at every stage, and the mean pool counts valid cells only. Of an even length
    the last step is not read either: the stage of stride 2 gets an even number, and its last window ends one before.
    With padding on the left an even number is dropped of the 40, because a stride of 2 has a phase.
    """
    steps = lengths + lengths % 2 if left_padded else lengths - (lengths % 2 == 0)
    needed: npt.NDArray[np.integer[Any]] = np.maximum(MIN_STEPS + left_padded, steps)
    return needed


def crop_length(lengths: npt.NDArray[np.int32], even: bool = False) -> int:
    """The steps that a batch with these lengths needs in training: the longest, at least 7.

    As `needed_steps`, but batch norm's statistics count every valid cell: the last step of an even length stays.
    """
    steps = max(MIN_STEPS, int(lengths.max()))
    return steps + steps % 2 if even else steps


def reduced_length(length: int, stride: int) -> int:
    """The valid length that a width-3 stage leaves: max(1, n - 2), or max(1, (n - 1) // 2) with stride 2."""
    return max(1, (length - 3) // stride + 1)
