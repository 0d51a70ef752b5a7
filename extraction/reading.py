"""The next videos, decoded by threads while the CNN runs on this one."""

import os
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS
from jsf.extraction.decode import Video

if TYPE_CHECKING:
    from jsf.extraction.extractor import Extractor

READERS = max(2, min(8, os.cpu_count() or 1))
"""Videos decoded at a time."""

_QUEUED = 2 * MAX_STEPS
"""Frames that wait for the CNN, of each video: with `READERS` it bounds the memory."""


@dataclass(frozen=True)
class End:
    """The end of a video's frames.

    Attributes:
        times: [T] seconds.
        sound: [T, W], what a recipe makes of the sound around the frames.
        silent: the file has no sound.
        damage: what is wrong with the frames, for people; "" where nothing is.
    """

    times: npt.NDArray[np.float64]
    sound: npt.NDArray[np.float32]
    silent: bool
    damage: str


class Reading:
    """A video that a thread of its own decodes."""

    def __init__(self, video: Path, extractor: "Extractor", limit: int, threads: int) -> None:
        self.video = video
        self._queue: Queue[npt.NDArray[np.uint8] | End | BaseException] = Queue(_QUEUED)
        self._stopped = Event()
        # A daemon: whoever interrupts jsf does not wait for a film's end.
        self._thread = Thread(target=self._run, args=(extractor, limit, threads), daemon=True)
        self._thread.start()

    def items(self) -> Iterator[npt.NDArray[np.uint8] | End | JsfError]:
        """The frames [S, S, 3], then their end, or the reason why there are no more."""
        while True:
            item = self._queue.get()
            if isinstance(item, BaseException) and not isinstance(item, JsfError):
                raise item
            yield item
            if not isinstance(item, np.ndarray):
                return

    def stop(self) -> None:
        """Has the thread end, soon."""
        self._stopped.set()

    def _run(self, extractor: "Extractor", limit: int, threads: int) -> None:
        try:
            video = Video.scan(self.video, limit)
            times, broken = [], 0
            for frame in video.frames(extractor.spec.square, threads):
                times.append(frame.seconds)
                broken += frame.damaged
                if not self._put(frame.image):
                    return
            sound = video.sound(extractor.sound, np.array(times))
            damage = _damage(len(video.grid.slots), len(times), broken)
            self._put(End(np.array(times), sound, not video.has_sound, damage))
        except MemoryError:
            self._put(JsfError(f"{self.video} does not fit into memory."))
        except BaseException as error:  # it is raised, or reported, where the frames are used
            self._put(error)

    def _put(self, item: npt.NDArray[np.uint8] | End | BaseException) -> bool:
        """Whether somebody still waits for the item."""
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.1)
                return True
            except Full:
                pass
        return False


def read_ahead(videos: Sequence[Path], extractor: "Extractor", limit: int) -> Generator[Reading, None, None]:
    """A reading of each video, in order; up to `READERS` run ahead. All end with the generator.

    Args:
        videos: files.
        extractor: how a frame becomes a square, and the sound's recipe.
        limit: at most so many frames of a video.
    """
    threads = 0 if len(videos) == 1 else 1  # several videos are decoded in parallel already
    running: deque[Reading] = deque()
    try:
        for video in videos:
            running.append(Reading(video, extractor, limit, threads))
            if len(running) > READERS:
                yield running[0]
                running.popleft()
        while running:
            yield running[0]
            running.popleft()
    finally:
        for reading in running:
            reading.stop()


def _damage(wanted: int, found: int, broken: int) -> str:
    """What is wrong with a video's frames: "of 40 frames 2 missing, 1 with errors"."""
    missing = f"{wanted - found} missing" if found < wanted else ""
    errors = f"{broken} with errors" if broken else ""
    return f"of {wanted} frames " + ", ".join(filter(None, [missing, errors])) if missing or errors else ""
