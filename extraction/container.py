"""A video file, opened with PyAV: the stream that is watched, the one that is heard, and what they decode to."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require

MAX_PIXELS = 1 << 27
"""Of a picture, 16K and no more: a small file may declare a large one, which would take all memory."""


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The file as an `av.container.InputContainer`.

    Raises:
        JsfError: it is missing, no file, empty, or cannot be read; also for FFmpeg's errors while it is open.
    """
    _check_file(path)
    av = require("av", "extract")
    try:
        # An absolute path is never taken for a protocol, and a playlist in disguise reaches nothing but files.
        with av.open(
            str(path.resolve()), options={"protocol_whitelist": "file"}, metadata_errors="replace"
        ) as container:
            yield container
    except (av.FFmpegError, ValueError) as error:  # PyAV reports what it has no support for as ValueError
        reason = getattr(error, "strerror", None) or error
        raise JsfError(
            f"{path} cannot be decoded: {reason}.",
            "Check that the file is complete and that a video player opens it.",
        ) from error


@contextmanager
def opened_stream(path: Path, kind: str, threads: int) -> Iterator[tuple[Any, Any]]:
    """The file, and its stream of a kind that decodes with so many threads; 0, as many as there are cores.

    Raises:
        JsfError: FFmpeg has no decoder for it; else as `opened`.
    """
    with opened(path) as container:
        stream = best_stream(container, kind)
        if stream.codec_context is None:
            raise JsfError(
                f"{path} cannot be decoded: FFmpeg does not know the codec of its {kind} stream.",
                "Convert it with the program that made it.",
            )
        stream.thread_type, stream.codec_context.thread_count = "AUTO", threads
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield container, stream


def best_stream(container: Any, kind: str) -> Any:
    """The stream of a kind, "video" or "audio", that FFmpeg takes; None where there is none.

    The cover of a piece of music is a video stream to FFmpeg, and not here. One without a decoder is taken last.
    """
    covers = require("av", "extract").stream.Disposition.attached_pic
    shown = [stream for stream in getattr(container.streams, kind) if not stream.disposition & covers]
    usable = [stream for stream in shown if stream.codec_context] or shown
    best = container.streams.best(kind)
    return best if best in usable else next(iter(usable), None)


def decoded(container: Any, stream: Any) -> Iterator[Any]:
    """The frames of a stream; damaged packets are left out, as players do."""
    invalid = require("av", "extract").InvalidDataError
    for packet in container.demux(stream):
        with suppress(invalid):
            yield from packet.decode()


def _check_file(path: Path) -> None:
    """Raises JsfError unless there is something to read: a pipe or a device would be waited for, for ever."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        broken = f"{path} is a link to a file that does not exist."
        raise JsfError(broken if path.is_symlink() else f"{path} does not exist.") from error
    except OSError as error:
        raise JsfError(f"{path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise JsfError(f"{path} is not a file.")
    if status.st_size == 0:
        raise JsfError(f"{path} is empty (0 bytes).")
