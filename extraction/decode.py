"""A video file to sampled frames and sound, by presentation time (PyAV)."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.sequence import MAX_STEPS
from jsf.extraction.audio import AudioFeatures, Floats
from jsf.extraction.container import best_stream, decoded, opened, opened_stream
from jsf.extraction.grid import Grid
from jsf.extraction.packets import Packets
from jsf.extraction.preprocess import Square
from jsf.extraction.seek import sought
from jsf.extraction.sound import mono


class Frame(NamedTuple):
    """A kept frame.

    Attributes:
        seconds: from the file's first frame.
        image: [S, S, 3], RGB.
        damaged: the decoder found errors in it, and filled them.
    """

    seconds: float
    image: npt.NDArray[np.uint8]
    damaged: bool


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

        A cut .mp4 is refused; of a cut stream without an index (.mkv, .ts) the whole packets are read, and what was
        lost within one is a pause like any other.

        Args:
            path: any container and codec that FFmpeg reads.
            limit: at most so many equidistant frames of the 5 fps grid are kept.

        Raises:
            JsfError: the file is missing, empty, damaged, not a video, or has no frames.
        """
        packets, cut = Packets(), False
        with opened(path) as container:
            video, audio = best_stream(container, "video"), best_stream(container, "audio")
            if video is None:
                what = "only a cover picture" if container.streams.video else "no video stream"
                raise JsfError(f"{path} has {what}.", "Expected a complete video file; sound alone is not enough.")
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
                raise JsfError(
                    f"{path} has no video frames with a presentation time.",
                    "A raw stream has none; give it a container: ffmpeg -i RAW -c copy CLIP.mp4",
                )
            return cls(path, Grid.at(ticks, video.time_base, limit), packets, audio is not None)

    def frames(self, square: Square, threads: int = 0) -> Iterator[Frame]:
        """The kept frames as squares, in order; no others are converted. Of a damaged file some may be missing.

        Pixels are taken as square ones, fields are not separated, and brightness is not mapped from HDR.

        Args:
            square: how a frame becomes one.
            threads: of the decoder; 0, as many as there are cores.

        Raises:
            JsfError: the file cannot be decoded, or less than half of the frames can.
        """
        reformatter = require("av", "extract").video.reformatter.VideoReformatter()
        found = 0
        for frame in self._kept(threads):
            found += 1
            yield Frame(self.grid.seconds(frame), square.cut(frame, reformatter), frame.is_corrupt)
        if 2 * found < (wanted := len(self.grid.slots)):
            raise JsfError(
                f"{self.path} cannot be decoded: {found} of {wanted} frames came out.",
                "Check that the file is complete and that a video player opens it.",
            )

    def _kept(self, threads: int) -> Iterator[Any]:
        """The kept frames; where one cannot be found by its time, every frame from the start is decoded."""
        left = dict(self.grid.slots)
        if self.packets.exact:
            with opened_stream(self.path, "video", threads) as (container, stream):
                for frame in sought(container, stream, self.packets, list(self.grid.slots.values())):
                    del left[self.grid.slot(frame)]
                    yield frame
        if left:
            with opened_stream(self.path, "video", threads) as (container, stream):
                frames = (frame for frame in decoded(container, stream) if frame.pts is not None)
                for slot, group in groupby(frames, self.grid.slot):
                    if left.pop(slot, None) is not None:  # a slot comes again where time stamps go back
                        yield deque(group, maxlen=1).pop()

    def sound(self, recipe: AudioFeatures, times: npt.NDArray[np.float64]) -> Floats:
        """What a recipe makes [T, W] of the sound around frames at `times` [T]; it is decoded piece by piece.

        Raises:
            JsfError: the sound cannot be decoded.
        """
        if not self.has_sound:
            return recipe.features([], 0.0, times)
        with opened_stream(self.path, "audio", 1) as (container, stream):
            frames = decoded(container, stream)
            first = next(frames, None)
            if first is None:
                return recipe.features([], 0.0, times)
            start = 0.0 if first.pts is None else self.grid.seconds(first)
            end = float(times[-1] + self.grid.origin * self.grid.time_base)
            return recipe.features(mono(chain([first], frames), recipe.rate, end), start, times)


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
    times, frames, _ = zip(*Video.scan(path, limit).frames(square), strict=True)
    return Clip(np.stack(frames), np.array(times))
