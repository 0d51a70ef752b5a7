"""VGGish around each frame: 128 numbers, the sound features of JSFusion's paper. No PyTorch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from jsf.extraction.audio import Floats, LogMel
from jsf.runtime.backends.base import Graph

COLUMNS, BANDS = 96, 64
INPUT, OUTPUT = "windows", "sound"
"""Names in the graph: [B, 96, 64] -> [B, 128]."""

_BATCH = 16


@dataclass(frozen=True)
class VGGish:
    """VGGish of the 0.96 s of sound whose middle is the frame's time.

    What such a window lacks, before the sound's start and after its end, is silence. The paper says which network
    made its features, and not how its windows lie; AudioSet's lie end to end from the start of the sound.

    Attributes:
        graph: VGGish with its PCA, INPUT -> OUTPUT.
        mel: the spectrum; VGGish's settings.
    """

    graph: Graph
    mel: LogMel = field(default_factory=LogMel)

    @property
    def rate(self) -> int:
        """Samples per second of the mono sound that it takes."""
        return self.mel.rate

    @property
    def width(self) -> int:
        """Numbers a frame."""
        return int(self.graph.outputs[0].shape[1])

    def features(self, pieces: Iterable[Floats], start: float, times: npt.NDArray[np.float64]) -> Floats:
        """The embedding [T, 128] of the window around each of T frames; zeros where it has no sound at all.

        Args:
            pieces: the sound, mono, in pieces [samples] of any lengths; heard one by one, a window's length is kept.
            start: seconds at which the sound starts, on the frames' clock.
            times: [T] seconds, rising.
        """
        found = np.zeros((len(times), self.width), np.float32)
        windows = self.windows(pieces, start, times)
        while batch := list(islice(windows, _BATCH)):
            rows, inputs = zip(*batch, strict=True)
            found[list(rows)] = self.graph.run({INPUT: np.stack(inputs)})[OUTPUT]
        return found

    def windows(
        self, pieces: Iterable[Floats], start: float, times: npt.NDArray[np.float64]
    ) -> Iterator[tuple[int, Floats]]:
        """Each frame that has sound around it, and its window of log(mel + 0.01), [96, 64]."""
        spectra = self.mel.spectra(pieces)
        kept, at = np.zeros((0, self.mel.bands), np.float32), 0  # the columns from number `at` on
        firsts = np.rint((times - start) / self.mel.hop).astype(int) - COLUMNS // 2
        for row, first in enumerate(firsts):
            while at + len(kept) < first + COLUMNS and (block := next(spectra, None)) is not None:
                passed = min(max(first - at, 0), len(kept))
                kept, at = np.concatenate([kept[passed:], block]), at + passed
            heard = slice(max(first, at), min(first + COLUMNS, at + len(kept)))
            if heard.start < heard.stop:
                window = np.zeros((COLUMNS, self.mel.bands), np.float32)
                window[heard.start - first : heard.stop - first] = kept[heard.start - at : heard.stop - at]
                yield row, window + np.float32(np.log(0.01))  # LogMel's spectrum is log(1 + mel / 0.01)


@dataclass(frozen=True)
class NoSound:
    """No numbers for the sound."""

    rate: int = LogMel.rate
    width: int = 0

    def features(self, pieces: Iterable[Floats], start: float, times: npt.NDArray[np.float64]) -> Floats:
        """[T, 0]; the sound is not heard."""
        return np.zeros((len(times), 0), np.float32)
