"""Spans of time in JSON files by video, such as ActivityNet's: read, checked, and fitted into their videos."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsf.data.clips import Span
from jsf.data.errors import JsfError
from jsf.data.files import read_json

FORM = 'Expected: {"v_1": {"duration": 9.5, "timestamps": [[0, 4], [4, 9.5]], "sentences": ["A dog.", "It runs."]}}'

LARGEST = 1e12
"""What is not below it is no time."""

ROUNDING = 1e-6
"""Of a video's length: what a span may reach past its end by rounding, and not be counted as cut."""


@dataclass
class Fitting:
    """Fits the spans of a file into their videos, and counts what did not fit.

    Attributes:
        path: the file.
        spans: seen so far.
        cut: reached past the video.
        left_out: had nothing inside the video.
    """

    path: Path
    spans: int = 0
    cut: int = 0
    left_out: int = 0

    def fit(self, span: Span) -> Span | None:
        """A span, in shares of the video, as far as it lies in [0, 1]; None where nothing of it does."""
        self.spans += 1
        start, end = max(0.0, span[0]), min(1.0, span[1])
        if start >= end:
            self.left_out += 1
            return None
        self.cut += span[0] < -ROUNDING or span[1] > 1 + ROUNDING
        return start, end

    def report(self, emptied: int = 0) -> None:
        """Logs one warning where a span did not fit, or `emptied` paragraphs were left without any."""
        done = [
            f"{self.cut:,} cut to the length of the video" * bool(self.cut),
            f"{self.left_out:,} left out, with nothing inside the video" * bool(self.left_out),
            f"{emptied:,} paragraph{'s' * (emptied > 1)} left out, without any other" * bool(emptied),
        ]
        if text := "; ".join(filter(None, done)):
            logging.getLogger(__name__).warning("%s: of %s spans %s", self.path, f"{self.spans:,}", text)


def read_videos(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """(place, video id, value) of each video in a JSON object by video id; the place is for messages.

    Raises:
        JsfError: the file is missing, is not such JSON, or is empty.
    """
    videos = [(f"{path}, '{video_id}'", video_id, value) for video_id, value in read_json(path).items()]
    if not videos:
        raise JsfError(f"{path} holds no videos.", FORM)
    for place, video_id, value in videos:
        if not video_id.strip() or not isinstance(value, dict):
            raise JsfError(f"{place} is {short(value)}, expected an object under the id of a video.", FORM)
    return videos


def read_spans(place: str, value: dict[str, Any], length: str, spans: str) -> list[Span]:
    """The spans of a video as shares of its length, which they may reach past.

    Args:
        place: for messages.
        value: of the video.
        length: the name of the video's length in `value`.
        spans: the name of the list of [start, end], in the unit of the length.

    Raises:
        JsfError: the length is not a positive number, or the spans are not lists of two finite numbers.
    """
    whole: Any = value.get(length)
    times = value.get(spans)
    if not _is_number(whole) or whole <= 0:
        raise JsfError(f"{place}: '{length}' is {short(whole)}, expected a positive number.")
    if not isinstance(times, list) or not times:
        raise JsfError(f"{place}: '{spans}' is {short(times)}, expected a list of [start, end].", FORM)
    for time in times:
        if not isinstance(time, list) or len(time) != 2 or not all(map(_is_number, time)):
            raise JsfError(f"{place}: '{spans}' holds {short(time)}, expected [start, end] in numbers.")
    return [(start / whole, end / whole) for start, end in times]


def short(value: Any) -> str:
    """A value in a message."""
    return repr(value)[:200]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < LARGEST
