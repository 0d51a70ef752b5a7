"""Many videos to features at once: threads decode the next videos while the CNN runs on the frames of this one."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS, FeatureSequence
from jsf.extraction.decode import Video

if TYPE_CHECKING:
    from jsf.extraction.extractor import Extractor

BATCH = 16
"""Frames per run of the CNN, of as many videos as it takes: larger batches leave the cache of a CPU."""

READERS = max(2, min(8, os.cpu_count() or 1))
"""Videos decoded at a time."""

_QUEUED = 2 * MAX_STEPS
"""Frames that wait for the CNN, of each video: with `READERS` it bounds the memory."""


@dataclass(frozen=True)
class Outcome:
    """What became of a video.

    Attributes:
        sequence: its features; None where there is an `error`.
        silent: the file has no sound, and the sound's numbers are zeros.
    """

    video: Path
    sequence: FeatureSequence | None = None
    error: JsfError | None = None
    silent: bool = False


def extract_videos(
    videos: Sequence[Path], extractor: "Extractor", limit: int = MAX_STEPS
) -> Generator[Outcome, None, None]:
    """What becomes of each video, in order; few frames of few videos are in memory at a time.

    Args:
        videos: files.
        extractor: the CNN, and the sound's recipe.
        limit: at most so many frames of a video.
    """
    with closing(_read_ahead(videos, extractor, limit)) as readings:
        yield from _encode(readings, extractor)


@dataclass(frozen=True)
class _End:
    """The end of a video's frames: their times [T], and the sound around them [T, W]."""

    times: npt.NDArray[np.float64]
    sound: npt.NDArray[np.float32]
    silent: bool


class _Reading:
    """A video that a thread of its own decodes."""

    def __init__(self, video: Path, extractor: "Extractor", limit: int, threads: int) -> None:
        self.video = video
        self._queue: Queue[npt.NDArray[np.uint8] | _End | BaseException] = Queue(_QUEUED)
        self._stopped = Event()
        # A daemon: whoever interrupts jsf does not wait for a film's end.
        self._thread = Thread(target=self._run, args=(extractor, limit, threads), daemon=True)
        self._thread.start()

    def items(self) -> Iterator[npt.NDArray[np.uint8] | _End | JsfError]:
        """The frames [S, S, 3], then their end, or the reason why there are no more."""
        while True:
            item = self._queue.get()
            if isinstance(item, BaseException) and not isinstance(item, JsfError):
                raise item
            yield item
            if not isinstance(item, np.ndarray):
                return

    def stop(self) -> None:
        self._stopped.set()

    def _run(self, extractor: "Extractor", limit: int, threads: int) -> None:
        try:
            video = Video.scan(self.video, limit)
            times = []
            for time, image in video.frames(extractor.spec.square, threads):
                times.append(time)
                if not self._put(image):
                    return
            sound = video.sound(extractor.sound, np.array(times))
            self._put(_End(np.array(times), sound, not video.has_sound))
        except MemoryError:
            self._put(JsfError(f"{self.video} does not fit into memory."))
        except BaseException as error:  # it is raised, or reported, where the frames are used
            self._put(error)

    def _put(self, item: npt.NDArray[np.uint8] | _End | BaseException) -> bool:
        """Whether somebody still waits for the item."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except Full:
                pass
        return False


def _read_ahead(videos: Sequence[Path], extractor: "Extractor", limit: int) -> Generator[_Reading, None, None]:
    threads = 0 if len(videos) == 1 else 1  # several videos are decoded in parallel already
    running: deque[_Reading] = deque()
    try:
        for video in videos:
            running.append(_Reading(video, extractor, limit, threads))
            if len(running) > READERS:
                yield running[0]
                running.popleft()
        while running:
            yield running[0]
            running.popleft()
    finally:
        for reading in running:
            reading.stop()


@dataclass
class _Making:
    """A video whose frames are on their way through the CNN."""

    video: Path
    rows: list[npt.NDArray[np.float32]] = field(default_factory=list)
    end: _End | JsfError | None = None

    @property
    def done(self) -> bool:
        return isinstance(self.end, JsfError) or (self.end is not None and len(self.rows) == len(self.end.times))

    def outcome(self, identity: str) -> Outcome:
        if not isinstance(self.end, _End):
            return Outcome(self.video, error=self.end)
        times = self.end.times
        span = times[-1] - times[0]
        fps = float((len(times) - 1) / span) if span else 0.0
        try:
            features = np.hstack([np.stack(self.rows), self.end.sound])
            return Outcome(
                self.video, FeatureSequence(features, fps, identity, str(self.video)), silent=self.end.silent
            )
        except JsfError as error:
            return Outcome(self.video, error=error)


def _encode(readings: Iterable[_Reading], extractor: "Extractor") -> Iterator[Outcome]:
    making: deque[_Making] = deque()
    waiting: list[tuple[npt.NDArray[np.uint8], _Making]] = []

    def see() -> None:
        for row, (_, owner) in zip(extractor.see(np.stack([image for image, _ in waiting])), waiting, strict=True):
            owner.rows.append(row)
        waiting.clear()

    for reading in readings:
        making.append(_Making(reading.video))
        for item in reading.items():
            if isinstance(item, np.ndarray):
                waiting.append((item, making[-1]))
                if len(waiting) == BATCH:
                    see()
            else:
                making[-1].end = item
            while making and making[0].done:
                yield making.popleft().outcome(extractor.identity)
    if waiting:
        see()
    while making:
        yield making.popleft().outcome(extractor.identity)
