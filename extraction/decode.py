"""A video file to sampled frames and sound, by presentation time (PyAV)."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.sequence import MAX_STEPS
from jsf.extraction.audio import AudioFeatures, Floats
from jsf.extraction.grid import Grid
from jsf.extraction.packets import Packets
from jsf.extraction.preprocess import Square

Frame = tuple[float, npt.NDArray[np.uint8]]
"""Seconds from the file's first frame, and the image [S, S, 3], RGB."""


@dataclass(frozen=True)
class Video:
    """A video file whose packets were read and not decoded: it is known which frames are kept, and where they are."""

    path: Path
    grid: Grid
    packets: Packets
    has_sound: bool

    @classmethod
    def scan(cls, path: Path, limit: int = MAX_STEPS) -> "Video":
        """Reads the time stamps of all packets.

        A cut .mp4 is refused; of a cut stream without an index (.mkv, .ts) the whole packets are read.

        Args:
            path: any container and codec that FFmpeg reads.
            limit: at most so many equidistant frames of the 5 fps grid are kept.

        Raises:
            JsfError: the file is missing, empty, damaged, not a video, or has no frames.
        """
        if not path.is_file():
            raise JsfError(f"{path} does not exist." if not path.exists() else f"{path} is not a file.")
        if path.stat().st_size == 0:
            raise JsfError(f"{path} is empty (0 bytes).")
        packets, cut = Packets(), False
        with _opened(path) as container:
            video, audio = container.streams.best("video"), container.streams.best("audio")
            if video is None:
                raise JsfError(
                    f"{path} has no video stream.", "Expected a complete video file; sound alone is not enough."
                )
            stamps = set()
            for packet in container.demux([video] if audio is None else [video, audio]):
                if packet.size:
                    cut = packet.is_corrupt
                    if packet.stream.index == video.index:
                        packets.add(packet)
                        if not packet.is_discard:
                            stamps.add(packet.dts if packet.pts is None else packet.pts)
            if cut:
                raise JsfError(f"{path} is cut off: its last packet is not whole.", "Copy or download it again.")
            if not (ticks := sorted(stamps - {None})):
                raise JsfError(f"{path} has no video frames with a presentation time.")
            return cls(path, Grid.at(ticks, video.time_base, limit), packets, audio is not None)

    def frames(self, square: Square, threads: int = 0) -> Iterator[Frame]:
        """The kept frames as squares, in order; no others are converted.

        Args:
            square: how a frame becomes one.
            threads: of the decoder; 0, as many as there are cores.

        Raises:
            JsfError: the file cannot be decoded, or none of the frames can.
        """
        reformatter = require("av", "extract").video.reformatter.VideoReformatter()
        found = False
        for frame in self._kept(threads):
            found = True
            yield self.grid.seconds(frame), square.cut(frame, reformatter)
        if not found:
            raise JsfError(f"{self.path} has no frame that can be decoded.")

    def _kept(self, threads: int) -> Iterator[Any]:
        """The kept frames; where one cannot be found by its time, every frame from the start is decoded."""
        left = dict(self.grid.slots)
        if self.packets.exact:
            for slot, frame in self._by_time(threads):
                del left[slot]
                yield frame
        if left:
            with self._stream("video", threads) as (container, stream):
                frames = (frame for frame in container.decode(stream) if frame.pts is not None)
                for slot, group in groupby(frames, self.grid.slot):
                    if left.pop(slot, None) is not None:  # a slot comes again where time stamps go back
                        yield deque(group, maxlen=1).pop()

    def _by_time(self, threads: int) -> Iterator[tuple[int, Any]]:
        """(slot, frame) by seeking and by leaving out frames that no other needs; ends early where one is not found."""
        ffmpeg_error = require("av", "extract").FFmpegError
        with self._stream("video", threads) as (container, stream):
            for start, ticks in self.packets.runs(list(self.grid.slots.values())):
                wanted = deque(ticks)
                try:
                    for frame in self._run(container, stream, start, frozenset(ticks)):
                        if frame.pts is None or frame.pts > wanted[0]:
                            return
                        if frame.pts == wanted[0]:
                            yield self.grid.slot(frame), frame
                            wanted.popleft()
                        if not wanted:
                            break
                except ffmpeg_error:  # as a full decode will tell, if it is the file's fault
                    return
                if wanted:
                    return

    def _run(self, container: Any, stream: Any, start: int, wanted: frozenset[int]) -> Iterator[Any]:
        packets = container.demux(stream)
        if start:
            container.seek(self.packets.starts[start], stream=stream)
            # Some containers land between keyframes, some on a later one than was asked for.
            packets = iter(packets)
            first = next((packet for packet in packets if packet.is_keyframe), None)
            begun = {self.packets.ticks[key] for key in self.packets.keys if key <= start}
            if first is None or first.pts not in begun:
                return
            packets = chain([first], packets)
        for packet in packets:
            # A frame that no other refers to is left out, unless it is wanted itself.
            stream.codec_context.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in wanted else "NONREF"
            yield from packet.decode()

    def sound(self, recipe: AudioFeatures, times: npt.NDArray[np.float64]) -> Floats:
        """What a recipe makes [T, W] of the sound around frames at `times` [T]; it is decoded piece by piece.

        Raises:
            JsfError: the sound cannot be decoded.
        """
        if not self.has_sound:
            return recipe.features([], 0.0, times)
        with self._stream("audio", 1) as (container, stream):
            frames = container.decode(stream)
            first = next(frames, None)
            if first is None:
                return recipe.features([], 0.0, times)
            start = 0.0 if first.pts is None else self.grid.seconds(first)
            return recipe.features(_pieces(chain([first], frames), recipe.rate), start, times)

    @contextmanager
    def _stream(self, kind: str, threads: int) -> Iterator[tuple[Any, Any]]:
        with _opened(self.path) as container:
            stream = container.streams.best(kind)
            stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
            yield container, stream


@dataclass(frozen=True)
class Clip:
    """What is kept of a video file.

    Attributes:
        frames: [T, S, S, 3], T >= 1, RGB.
        times: [T] seconds from the file's first frame, rising.
    """

    frames: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float64]


def read_clip(path: Path, square: Square, limit: int = MAX_STEPS) -> Clip:
    """Decodes at most `limit` equidistant frames of the 5 fps grid; arguments and errors as of `Video`."""
    times, frames = zip(*Video.scan(path, limit).frames(square), strict=True)
    return Clip(np.stack(frames), np.array(times))


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    av = require("av", "extract")
    try:
        # An absolute path is never taken for a protocol, and a playlist in disguise reaches nothing but files.
        with av.open(
            str(path.resolve()), options={"protocol_whitelist": "file"}, metadata_errors="replace"
        ) as container:
            yield container
    except (av.FFmpegError, ValueError) as error:  # PyAV reports a change of format within a stream as ValueError
        reason = getattr(error, "strerror", None) or error
        raise JsfError(
            f"{path} cannot be decoded: {reason}.", "Check that the file is complete and that a video player opens it."
        ) from error


def _pieces(frames: Iterator[Any], rate: int) -> Iterator[Floats]:
    """Decoded audio frames as pieces of one mono sound."""
    resampler = require("av", "extract").AudioResampler(format="flt", layout="mono", rate=rate)
    for frame in chain(frames, [None]):
        for piece in resampler.resample(frame):
            yield piece.to_ndarray()[0]
