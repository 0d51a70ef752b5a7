"""The log-mel spectrum of a sound and its statistics around each frame. numpy only; nothing is learned."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

_BLOCK = 4096
"""Columns transformed at a time: bounds the memory that a long film needs."""


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
        windows, bands = 0 < self.hop <= self.window <= 1, 0 < self.bands <= 512
        if not (windows and bands and 0 <= self.low < self.high <= self.rate / 2):
            raise ValueError(f"no sound has these settings: {self}")

    def spectrum(self, sound: Floats) -> Floats:
        """The spectrum [columns, bands] of a mono sound [samples]; no columns where it is shorter than a window."""
        length, step = round(self.window * self.rate), round(self.hop * self.rate)
        if len(sound) < length:
            return np.zeros((0, self.bands), np.float32)
        pieces = np.lib.stride_tricks.sliding_window_view(sound, length)[::step]
        taper = np.hanning(length + 1)[:-1]  # periodic, as in VGGish
        points = 1 << (length - 1).bit_length()
        filters = self._filters(points)
        blocks = [
            np.log1p(np.abs(np.fft.rfft(pieces[start : start + _BLOCK] * taper, points)) @ filters * 100).astype(
                np.float32
            )
            for start in range(0, len(pieces), _BLOCK)
        ]
        return np.concatenate(blocks)

    def statistics(self, sound: Floats, start: float, times: npt.NDArray[np.float64]) -> Floats:
        """Mean and standard deviation [T, 2 * bands] of the spectrum around each of T frames.

        Each moment of the sound belongs to the frame nearest in time. A frame without sound gets zeros.

        Args:
            sound: [samples], mono; may be empty.
            start: seconds at which the sound starts, on the frames' clock.
            times: [T] seconds, rising.
        """
        spectrum = self.spectrum(sound)
        centres = start + self.window / 2 + self.hop * np.arange(len(spectrum))
        groups = np.split(spectrum, np.searchsorted(centres, (times[1:] + times[:-1]) / 2))
        statistics = np.zeros((len(times), 2 * self.bands), np.float32)
        for row, group in zip(statistics, groups, strict=True):
            if len(group):
                row[:] = np.concatenate([group.mean(axis=0), group.std(axis=0)])
        return statistics

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
