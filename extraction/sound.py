"""Decoded audio frames to one mono sound."""

from collections.abc import Iterator
from itertools import chain, groupby
from typing import Any

import numpy as np

from jsf.data.extras import require
from jsf.extraction.audio import Floats

GAP = 0.1
"""Seconds by which the sound may run ahead of its time stamps, which are rounded; more is made up for by silence."""


def mono(frames: Iterator[Any], rate: int, end: float) -> Iterator[Floats]:
    """The sound in pieces [samples]; what is missing within is silence, so that the rest keeps its time.

    A stream may change its layout and its rate, as broadcasts do.

    Args:
        frames: `av.AudioFrame`s of one stream.
        rate: samples per second of the pieces.
        end: the latest time, on the frames' clock, to which a gap is filled.
    """
    resampler_of = require("av", "extract").AudioResampler
    heard: float | None = None  # the end of the pieces; gaps that are each too short to be filled add up
    for _, run in groupby(frames, lambda frame: (frame.format.name, frame.layout.name, frame.sample_rate)):
        resampler = resampler_of(format="flt", layout="mono", rate=rate)
        for frame in chain(run, [None]):
            if frame is not None:
                start = frame.time
                heard = start if heard is None else heard
                if heard is not None:
                    if start is not None and (gap := min(start, end) - heard) > GAP:
                        yield from _silence(round(gap * rate), rate)
                        heard += gap
                    heard += frame.samples / frame.sample_rate
            for piece in resampler.resample(frame):
                yield piece.to_ndarray()[0]


def _silence(samples: int, rate: int) -> Iterator[Floats]:
    """So many zeros, a second at a time."""
    while samples > 0:
        yield np.zeros(min(samples, rate), np.float32)
        samples -= rate
