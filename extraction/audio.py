"""The log-mel spectrum of a sound and its statistics around each frame. numpy only; nothing is learned."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from jsf.data.sequence import sample_steps

Floats = npt.NDArray[np.float32]

MAX_RATE = 192_000
"""Samples per second; no recording has more."""

_BLOCK = 1024
"""Columns transformed at a time: bounds the memory that a long film needs."""


class AudioFeatures(Protocol):
    """A recipe that turns the sound around each frame into numbers."""

    @property
    def rate(self) -> int:
        """Samples per second of the mono sound that it takes."""

    @property
    def width(self) -> int:
        """W, numbers a frame."""

    def features(self, pieces: Iterable[Floats], start: float, times: npt.NDArray[np.float64]) -> Floats:
        """The numbers [T, W] around each of T frames; a sound without samples gives zeros.

        Called from several threads at once, each with a sound of its own.

        Args:
            pieces: the sound, mono, in pieces [samples] of any lengths; a long film's are not kept, but used up.
            start: seconds at which the sound starts, on the frames' clock; negative where it is earlier.
            times: [T] seconds, rising.
        """


@dataclass(frozen=True)
class LogMel:
    """A log-mel spectrum with VGGish's settings, shifted so that silence is zero.

    VGGish takes log(mel + 0.01); here it is log(1 + mel / 0.01), which differs by a constant. So a silent sound and a
    missing one give the same features.

    Attributes:
        rate: samples per second.
        window, hop: seconds.
        bands: number of mel bands between `low` and `high` (Hz).
    """

    rate: int = 16_000
    window: float = 0.025
    hop: float = 0.010
    bands: int = 64
    low: float = 125.0
    high: float = 7_500.0

    def __post_init__(self) -> None:
        """Raises ValueError for settings that no sound has."""
        windows, bands = self.hop * self.rate >= 1 and self.hop <= self.window <= 1, 0 < self.bands <= 512
        if not (windows and bands and self.rate <= MAX_RATE and 0 <= self.low < self.high <= self.rate / 2):
            raise ValueError(f"no sound has these settings: {self}")

    @property
    def width(self) -> int:
        """Numbers a frame: the mean and the standard deviation of each band."""
        return 2 * self.bands

    def spectrum(self, sound: Floats) -> Floats:
        """The spectrum [columns, bands] of a mono sound [samples]; no columns where it is shorter than a window."""
        length, step = self._lengths
        if len(sound) < length:
            return np.zeros((0, self.bands), np.float32)
        pieces = np.lib.stride_tricks.sliding_window_view(sound, length)[::step]
        taper = np.hanning(length + 1)[:-1]  # periodic, as in VGGish
        points = 1 << (length - 1).bit_length()
        magnitudes = np.abs(np.fft.rfft(pieces * taper, points))
        return np.log1p(magnitudes @ self._filters(points) * 100).astype(np.float32)

    def features(self, pieces: Iterable[Floats], start: float, times: npt.NDArray[np.float64]) -> Floats:
        """Mean and standard deviation [T, 2 * bands] of the spectrum around each of T frames.

        Each moment of the sound belongs to the frame nearest in time. A frame without sound gets zeros. Of more than
        40 frames, the 40 equidistant ones that a model takes hear what they hear alone, and each other frame what the
        nearest of them does: so a model scores the same, whether all frames were kept or 40.

        Args:
            pieces: the sound, mono, in pieces [samples] of any lengths; heard one by one, none is kept.
            start: seconds at which the sound starts, on the frames' clock.
            times: [T] seconds, rising.
        """
        hearing = times[sample_steps(len(times))]
        counts, sums = np.zeros((len(hearing), 1)), np.zeros((len(hearing), self.width))
        edges, column = (hearing[1:] + hearing[:-1]) / 2, 0
        for block in self._blocks(pieces):
            spectrum = self.spectrum(block).astype(np.float64)
            centres = start + self.window / 2 + self.hop * np.arange(column, column + len(spectrum))
            frames, firsts, found = np.unique(
                np.searchsorted(edges, centres, side="right"), return_index=True, return_counts=True
            )
            if len(frames):
                counts[frames] += found[:, None]
                sums[frames] += np.add.reduceat(np.hstack([spectrum, spectrum**2]), firsts)
            column += len(spectrum)
        means, squares = np.split(sums / np.maximum(counts, 1), 2, axis=1)
        statistics = np.hstack([means, np.sqrt(np.maximum(squares - means**2, 0))]).astype(np.float32)
        return statistics[np.searchsorted(edges, times, side="right")]

    def spectra(self, pieces: Iterable[Floats]) -> Iterator[Floats]:
        """The spectrum [columns, bands] of a sound in pieces of any lengths, block by block."""
        return map(self.spectrum, self._blocks(pieces))

    @property
    def _lengths(self) -> tuple[int, int]:
        """Window and hop, in samples."""
        return round(self.window * self.rate), round(self.hop * self.rate)

    def _blocks(self, pieces: Iterable[Floats]) -> Iterator[Floats]:
        """The sound in blocks of whole columns; what the next column needs too is in both."""
        length, step = self._lengths
        waiting: list[Floats] = []
        samples = 0
        for piece in pieces:
            waiting.append(piece)
            if (samples := samples + len(piece)) >= length + _BLOCK * step:
                sound = np.concatenate(waiting)
                end = (samples - length) // step * step + step
                yield sound[: end - step + length]
                waiting, samples = [sound[end:]], samples - end
        yield np.concatenate([np.zeros(0, np.float32), *waiting])

    def _filters(self, points: int) -> npt.NDArray[np.float64]:
        """Triangular filters [points // 2 + 1, bands], equally wide on the HTK mel scale."""
        frequencies = np.arange(points // 2 + 1) * self.rate / points
        edges = np.linspace(_mel(self.low), _mel(self.high), self.bands + 2)
        distance = (_mel(frequencies)[:, None] - edges) / (edges[1] - edges[0])
        filters: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(distance[:, :-2], -distance[:, 2:]))
        filters[0] = 0.0  # the constant part of a sound is not heard
        return filters


def _mel(frequency: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 1127.0 * np.log1p(np.divide(frequency, 700.0))
