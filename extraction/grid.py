"""The 5 fps grid: which frames of a video are kept, by presentation time."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from jsf.data.sequence import MAX_STEPS, sample_steps

FPS = 5
"""Frames per second at which videos are sampled (JSFusion, section 3.1)."""


@dataclass(frozen=True)
class Grid:
    """Each frame falls into the nearest slot of the grid, and the last one of a slot stands for it.

    On constant frame rates these are the frames of FFmpeg's `fps=5` filter, none duplicated: a slot without a frame is
    left out, so a slower source keeps its own frames.

    Attributes:
        origin: presentation time of the first frame, in units of `time_base`.
        time_base: seconds.
        slots: the slots that are kept, of those that hold a frame, in order -> the presentation time of that frame.
    """

    origin: int
    time_base: Fraction
    slots: dict[int, int]

    @classmethod
    def at(cls, ticks: list[int], time_base: Fraction, limit: int = MAX_STEPS) -> "Grid":
        """The grid of frames at distinct, rising `ticks`, in units of `time_base`; keeps `limit` equidistant ones."""
        offsets = [tick - ticks[0] for tick in ticks]
        # The last frame lasts as long as the one before it; the slot at the video's very end is not part of it.
        end = _slot(2 * offsets[-1] - offsets[-2:][0], time_base)
        last = {_slot(offset, time_base): tick for tick, offset in zip(ticks, offsets, strict=True)}
        held = [slot for slot in last if slot < end] or [0]
        return cls(ticks[0], time_base, {held[step]: last[held[step]] for step in sample_steps(len(held), limit)})

    def slot(self, frame: Any) -> int:
        """The slot that a decoded video frame falls into."""
        return _slot(frame.pts - self.origin, self.time_base)

    def seconds(self, frame: Any) -> float:
        """The time of a decoded frame, video or audio, since the first video frame."""
        return float(frame.pts * frame.time_base - self.origin * self.time_base)


def _slot(ticks: int, time_base: Fraction) -> int:
    return math.floor(ticks * time_base * FPS + Fraction(1, 2))
