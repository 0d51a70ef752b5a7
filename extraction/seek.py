"""Few frames of a long video: by seeking, and by leaving out what no other frame needs."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from jsf.data.extras import require
from jsf.extraction.packets import Packets


def sought(container: Any, stream: Any, packets: Packets, wanted: Sequence[int]) -> Iterator[Any]:
    """The frames at the rising presentation times `wanted`; ends early where one is not found.

    Args:
        container: as of `opened_stream`.
        stream: its video stream.
        packets: of the stream; `exact`.
        wanted: times of packets, in the stream's ticks.
    """
    invalid = require("av", "extract").FFmpegError
    for start, ticks in packets.runs(wanted):
        left = deque(ticks)
        try:
            for frame in _run(container, stream, packets, start, frozenset(ticks)):
                if frame.pts is None or frame.pts > left[0]:
                    return
                if frame.pts == left[0]:
                    yield frame
                    left.popleft()
                if not left:
                    break
        except invalid:  # as a full decode will tell, if it is the file's fault
            return
        if left:
            return


def _run(container: Any, stream: Any, packets: Packets, start: int, wanted: frozenset[int]) -> Iterator[Any]:
    """The frames from position `start` on, but not all of those that are not wanted."""
    read = container.demux(stream)
    if start:
        container.seek(packets.starts[start], stream=stream)
        # Some containers land between keyframes, some on a later one than was asked for.
        read = iter(read)
        first = next((packet for packet in read if packet.is_keyframe), None)
        begun = {packets.ticks[key] for key in packets.keys if key <= start}
        if first is None or first.pts not in begun:
            return
        read = chain([first], read)
    for packet in read:
        # A frame that no other refers to is left out, unless it is wanted itself.
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts is None or packet.pts in wanted else "NONREF"
        yield from packet.decode()
