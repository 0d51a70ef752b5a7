"""The length algebra of the matcher: how far a pair can be cropped without changing its score."""

import numpy as np
import numpy.typing as npt

MIN_STEPS = 7
"""The shortest input that three 3x3 convolutions of strides 1, 1, 2 reduce to one cell: 7 -> 5 -> 3 -> 1."""


STRIDES = (1, 1, 2)
"""Of CHD's three stages, over frames and over words."""


def crop_length(lengths: npt.NDArray[np.int32], even: bool = False) -> int:
    """The steps that a batch with these lengths needs: the longest, at least 7.

    Exact: a cell past the true lengths is masked at every stage, and the mean pool counts valid cells only.
    With padding on the left an `even` number is kept of the 40, because a stride of 2 has a phase.
    """
    steps = max(MIN_STEPS, int(lengths.max()))
    return steps + steps % 2 if even else steps


def reduced_length(length: int, stride: int) -> int:
    """The valid length that a width-3 stage leaves: max(1, n - 2), or max(1, (n - 1) // 2) with stride 2."""
    return max(1, (length - 3) // stride + 1)
