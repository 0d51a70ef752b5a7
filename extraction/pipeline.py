"""Many videos to features at once: threads decode the next videos while the CNN runs on the frames of this one."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS, FeatureSequence
from jsf.extraction.reading import End, Reading, read_ahead

if TYPE_CHECKING:
    from jsf.extraction.extractor import Extractor


@dataclass(frozen=True)
class Outcome:
    """What became of a video.

    Attributes:
        sequence: its features; None where there is an `error`.
        silent: the file has no sound, and the sound's numbers are zeros.
        damage: what is wrong with the frames; "" where nothing is.
    """

    video: Path
    sequence: FeatureSequence | None = None
    error: JsfError | None = None
    silent: bool = False
    damage: str = ""


def extract_videos(
    videos: Sequence[Path], extractor: "Extractor", limit: int = MAX_STEPS
) -> Generator[Outcome, None, None]:
    """What becomes of each video, in order; few frames of few videos are in memory at a time.

    Args:
        videos: files.
        extractor: the CNN, and the sound's recipe.
        limit: at most so many frames of a video.
    """
    with closing(read_ahead(videos, extractor, limit)) as readings:
        yield from _encode(readings, extractor)


@dataclass
class _Making:
    """A video whose frames are on their way through the CNN."""

    video: Path
    rows: list[npt.NDArray[np.float32]] = field(default_factory=list)
    end: End | JsfError | None = None

    @property
    def done(self) -> bool:
        return isinstance(self.end, JsfError) or (self.end is not None and len(self.rows) == len(self.end.times))

    def outcome(self, identity: str) -> Outcome:
        if not isinstance(self.end, End):
            return Outcome(self.video, error=self.end)
        times = self.end.times
        span = times[-1] - times[0]
        fps = float((len(times) - 1) / span) if span else 0.0
        try:
            features = np.hstack([np.stack(self.rows), self.end.sound])
            sequence = FeatureSequence(features, fps, identity, str(self.video))
            return Outcome(self.video, sequence, silent=self.end.silent, damage=self.end.damage)
        except JsfError as error:
            return Outcome(self.video, error=error)


def _encode(readings: Iterable[Reading], extractor: "Extractor") -> Iterator[Outcome]:
    making: deque[_Making] = deque()
    with ThreadPoolExecutor(extractor.workers, "cnn") as pool:
        batches = _Batches(extractor, pool)
        for reading in readings:
            making.append(_Making(reading.video))
            for item in reading.items():
                if isinstance(item, np.ndarray):
                    batches.add(item, making[-1])
                else:
                    making[-1].end = item
                while making and making[0].done:
                    yield making.popleft().outcome(extractor.identity)
        batches.finish()
    while making:
        yield making.popleft().outcome(extractor.identity)


class _Batches:
    """Frames on their way through the CNN: one batch is filled while others are run, in threads of a pool."""

    def __init__(self, extractor: "Extractor", pool: ThreadPoolExecutor) -> None:
        self._extractor, self._pool = extractor, pool
        self._images: list[npt.NDArray[np.uint8]] = []
        self._owners: list[_Making] = []
        self._running: deque[tuple[Future[npt.NDArray[np.float32]], list[_Making]]] = deque()

    def add(self, image: npt.NDArray[np.uint8], owner: _Making) -> None:
        self._images.append(image)
        self._owners.append(owner)
        if len(self._images) == self._extractor.batch:
            self._start()
            self._land(self._extractor.workers)

    def finish(self) -> None:
        """Waits until every frame has its features."""
        if self._images:
            self._start()
        self._land(0)

    def _start(self) -> None:
        self._running.append((self._pool.submit(self._extractor.see, np.stack(self._images)), self._owners))
        self._images, self._owners = [], []

    def _land(self, most: int) -> None:
        """Waits until at most so many batches are on their way; rows come in the order of the frames."""
        while len(self._running) > most:
            future, owners = self._running.popleft()
            for row, owner in zip(future.result(), owners, strict=True):
                owner.rows.append(row)
