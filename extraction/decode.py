"""A video file to sampled frames and sound, by presentation time (PyAV)."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.extraction.grid import Grid
from jsf.extraction.preprocess import square


@dataclass(frozen=True)
class Clip:
    """What is kept of a video file.

    Attributes:
        frames: [T, S, S, 3], 1 <= T <= 40, RGB.
        times: [T] seconds from the file's first frame, rising.
        sound: [samples], mono; empty where the file has no sound.
        sound_start: seconds from the first frame to the first sample; negative where the sound is earlier.
    """

    frames: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float64]
    sound: npt.NDArray[np.float32]
    sound_start: float


def read_clip(path: Path, size: int, rate: int) -> Clip:
    """Decodes at most 40 equidistant frames of the 5 fps grid, and all of the sound.

    A cut .mp4 is refused; of a cut stream without an index (.mkv, .ts) the whole packets are read.

    Args:
        path: any container and codec that FFmpeg reads.
        size: side of the square frames, in pixels.
        rate: samples per second of the sound.

    Raises:
        JsfError: the file is missing, empty, damaged, not a video, or has no frames.
    """
    av = require("av", "extract")
    if not path.is_file():
        raise JsfError(f"{path} does not exist." if not path.exists() else f"{path} is not a file.")
    if path.stat().st_size == 0:
        raise JsfError(f"{path} is empty (0 bytes).")
    try:
        with _open(av, path) as container:
            grid = _read_grid(container, path)
        with _open(av, path) as container:
            return _decode(av, container, grid, path, size, rate)
    except (av.FFmpegError, ValueError) as error:  # PyAV reports a change of format within a stream as ValueError
        reason = getattr(error, "strerror", None) or error
        raise JsfError(
            f"{path} cannot be decoded: {reason}.", "Check that the file is complete and that a video player opens it."
        ) from error


def _open(av: Any, path: Path) -> Any:
    # An absolute path is never taken for a protocol, and a playlist in disguise reaches nothing but files.
    return av.open(str(path.resolve()), options={"protocol_whitelist": "file"}, metadata_errors="replace")


def _read_grid(container: Any, path: Path) -> Grid:
    """The grid by the time stamps of all packets; nothing is decoded."""
    video, *_ = streams = _streams(container, path)
    stamps, cut = set(), False
    for packet in container.demux(streams):
        if packet.size:
            cut = packet.is_corrupt
            if packet.stream.index == video.index and not packet.is_discard:
                stamps.add(packet.dts if packet.pts is None else packet.pts)
    if cut:
        raise JsfError(f"{path} is cut off: its last packet is not whole.", "Copy or download it again.")
    if not (ticks := sorted(stamps - {None})):
        raise JsfError(f"{path} has no video frames with a presentation time.")
    return Grid.at(ticks, video.time_base)


def _streams(container: Any, path: Path) -> list[Any]:
    """The video stream, and the audio stream if there is one."""
    video, audio = container.streams.best("video"), container.streams.best("audio")
    if video is None:
        raise JsfError(f"{path} has no video stream.", "Expected a complete video file; sound alone is not enough.")
    return [video] if audio is None else [video, audio]


def _decode(av: Any, container: Any, grid: Grid, path: Path, size: int, rate: int) -> Clip:
    listener = _Listener(av, grid, rate)
    streams = _streams(container, path)
    streams[0].thread_type = "AUTO"
    frames = _video_frames(av, container.decode(streams), listener)
    reformatter = av.video.reformatter.VideoReformatter()
    images, times = [], []
    for slot, group in groupby(frames, grid.slot):
        if slot in grid.slots:
            frame = deque(group, maxlen=1).pop()
            images.append(square(frame, size, reformatter))
            times.append(grid.seconds(frame))
    if not images:
        raise JsfError(f"{path} has no frame that can be decoded.")
    return Clip(np.stack(images), np.array(times), listener.sound(), listener.start)


def _video_frames(av: Any, frames: Iterator[Any], listener: "_Listener") -> Iterator[Any]:
    """The video frames that have a presentation time; the audio frames between them go to the listener."""
    for frame in frames:
        if isinstance(frame, av.AudioFrame):
            listener.hear(frame)
        elif frame.pts is not None:
            yield frame


class _Listener:
    """Collects decoded audio frames as one mono sound."""

    def __init__(self, av: Any, grid: Grid, rate: int) -> None:
        self.start = 0.0
        self._grid = grid
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        self._pieces: list[npt.NDArray[np.float32]] = []
        self._heard = False

    def hear(self, frame: Any) -> None:
        if not self._heard and frame.pts is not None:
            self.start = self._grid.seconds(frame)
        self._heard = True
        self._pieces += [piece.to_ndarray()[0] for piece in self._resampler.resample(frame)]

    def sound(self) -> npt.NDArray[np.float32]:
        if self._heard:
            self._pieces += [piece.to_ndarray()[0] for piece in self._resampler.resample(None)]
        return np.concatenate([np.zeros(0, np.float32), *self._pieces])
