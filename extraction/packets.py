"""The packets of a video stream: where to begin decoding, so that wanted frames come out as in a full decode."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

WORTH = 0.5
"""Seeking is taken where it decodes at most this part of the packets: a seek empties the decoder, which costs too."""


@dataclass
class Packets:
    """A video stream's packets, in the order of the file, which is the order of decoding.

    Attributes:
        ticks: presentation times; None where one is missing.
        starts: where to seek for each: the time of decoding, by which most containers seek, where it is known.
        keys: positions of the packets that decoding can begin with.
    """

    ticks: list[int | None] = field(default_factory=list)
    starts: list[int | None] = field(default_factory=list)
    keys: list[int] = field(default_factory=list)

    def add(self, packet: Any) -> None:
        """Notes the next packet, an `av.Packet`."""
        if packet.is_keyframe:
            self.keys.append(len(self.ticks))
        self.ticks.append(packet.pts)
        self.starts.append(packet.pts if packet.dts is None else packet.dts)

    @property
    def exact(self) -> bool:
        """Whether each packet has a presentation time of its own, by which its frame can be recognised."""
        return None not in self.ticks and len(set(self.ticks)) == len(self.ticks)

    def runs(self, wanted: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Where to decode for frames at the rising presentation times `wanted`: [(first position, its times), ...].

        Position 0 is the start of the file. The only run is (0, wanted) where seeking would not save enough.

        A run begins a keyframe earlier than it must: frames shown before a keyframe and decoded after it need the one
        before (open groups of pictures), and some encoders refer to frames beyond a keyframe that they mark.
        """
        whole = [(0, list(wanted))]
        if not self.keys:
            return whole
        position = {tick: i for i, tick in enumerate(self.ticks)}
        shown = {tick: self.keys[max(0, n - 1)] for tick, n in self._keys_before(wanted, position)}
        runs: list[tuple[int, list[int]]] = []
        end = decoded = 0
        for tick in wanted:
            if runs and shown[tick] <= end:
                runs[-1][1].append(tick)
                decoded += max(0, position[tick] - end)
            else:
                runs.append((shown[tick], [tick]))
                decoded += position[tick] - shown[tick]
            end = max(end, position[tick])
        return runs if decoded <= WORTH * len(self.ticks) else whole

    def _keys_before(self, wanted: Sequence[int], position: dict[int | None, int]) -> list[tuple[int, int]]:
        """(tick, number of the last keyframe that is neither decoded nor shown after it) for each wanted tick."""
        found, n = [], 0
        shown = [self.ticks[key] for key in self.keys]
        for tick in wanted:
            while n + 1 < len(self.keys) and self.keys[n + 1] <= position[tick] and (shown[n + 1] or 0) <= tick:
                n += 1
            found.append((tick, n))
        return found
