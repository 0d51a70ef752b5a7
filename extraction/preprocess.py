"""A decoded frame to the CNN's input: short side resized, centre crop, upright, normalised."""

from typing import Any

import numpy as np
import numpy.typing as npt


def square(frame: Any, size: int, reformatter: Any) -> npt.NDArray[np.uint8]:
    """The centre [size, size, 3] of a frame whose short side was resized to `size` (bicubic), RGB.

    Args:
        frame: an `av.VideoFrame`; its display rotation is applied in quarter turns.
        size: pixels.
        reformatter: an `av.video.reformatter.VideoReformatter`, kept between the frames of a video.
    """
    short = min(frame.width, frame.height)
    width, height = (round(side * size / short) for side in (frame.width, frame.height))
    image = reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC").to_ndarray()
    top, left = (height - size) // 2, (width - size) // 2
    # The centre square of a turned image is the turned centre square.
    return np.rot90(image[top : top + size, left : left + size], round(frame.rotation / 90))


def normalize(
    images: npt.NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    """(x - mean) / std per channel: [B, S, S, 3] -> [B, 3, S, S]."""
    scaled = images.astype(np.float32)
    scaled -= np.array(mean, np.float32)
    scaled /= np.array(std, np.float32)
    return scaled.transpose(0, 3, 1, 2)
