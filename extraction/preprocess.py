"""A decoded frame to the CNN's input: short side resized, centre crop, upright, normalised."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

WIDE = 8
"""Of a picture whose long side is more than so many times its short side, only the middle is resized."""

INTERPOLATIONS = ("bicubic", "bilinear", "area", "lanczos")


@dataclass(frozen=True)
class Square:
    """How a frame becomes a square: its short side is resized, then the centre is cut out.

    Attributes:
        size: side of the square, in pixels.
        short_side: of the resized frame, in pixels; the long one is rounded down, as torchvision and transformers do.
            None: `size`, and the long one is rounded to the nearest, as EfficientNet-Lite0's extractor does.
        interpolation: one of `INTERPOLATIONS`.
    """

    size: int
    short_side: int | None = None
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        """Raises ValueError where no square can be cut."""
        if not 0 < self.size <= (self.short_side or self.size) or self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"{self}: expected 0 < size <= short_side and one of {', '.join(INTERPOLATIONS)}")

    def cut(self, frame: Any, reformatter: Any) -> npt.NDArray[np.uint8]:
        """The square [size, size, 3] of a frame, RGB.

        Args:
            frame: an `av.VideoFrame`; its display rotation is applied in quarter turns.
            reformatter: an `av.video.reformatter.VideoReformatter`, kept between the frames of a video.
        """
        source = _middle(frame) if max(frame.width, frame.height) > WIDE * min(frame.width, frame.height) else frame
        short = min(source.width, source.height)
        if self.short_side is None:
            width, height = (round(side * self.size / short) for side in (source.width, source.height))
        else:
            width, height = (side * self.short_side // short for side in (source.width, source.height))
        scaled = reformatter.reformat(source, width, height, "rgb24", interpolation=self.interpolation.upper())
        top, left = (height - self.size) // 2, (width - self.size) // 2
        # The centre square of a turned image is the turned centre square.
        image: npt.NDArray[np.uint8] = scaled.to_ndarray()[top : top + self.size, left : left + self.size]
        return np.rot90(image, round(frame.rotation / 90)).copy()  # a view would keep the whole picture in memory


def _middle(frame: Any) -> Any:
    """The middle of a picture that would take too much memory, resized: its long side is `WIDE` times the short one.

    As much goes on one side as on the other, so the square that is cut out is the whole picture's, up to rounding and
    to the way in which colours at half the resolution are filled in.
    """
    image = frame.to_ndarray(format="rgb24")
    most = WIDE * min(image.shape[:2])
    kept = tuple(slice(cut := max(0, (side - most) // 2), side - cut) for side in image.shape[:2])
    return type(frame).from_ndarray(np.ascontiguousarray(image[kept]), format="rgb24")


def normalize(
    images: npt.NDArray[np.uint8], mean: tuple[float, ...], std: tuple[float, ...]
) -> npt.NDArray[np.float32]:
    """(x - mean) / std per channel: [B, S, S, 3] -> [B, 3, S, S]."""
    planes = images.transpose(0, 3, 1, 2).astype(np.float32, order="C")  # along each plane numpy is seven times as fast
    planes -= np.array(mean, np.float32)[:, None, None]
    planes /= np.array(std, np.float32)[:, None, None]
    return planes
