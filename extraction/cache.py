"""Features of video files that were read before, in the user's cache: the CNN runs once for a file's content."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.files import cache_folder, sha256
from jsf.data.sequence import FeatureSequence, load_sequence

LIMIT = 2 << 30
"""Bytes; past it, what was not used for longest is removed."""


def read_through(path: Path, key: str, extract: Callable[[Path], FeatureSequence]) -> FeatureSequence:
    """The features of a video file: the kept ones, or those that `extract` makes, which are then kept.

    Args:
        path: the video; its content is the key, not its name or time.
        key: of the extractor, as of `ExtractorSpec.cache_key`.
        extract: called where there are none, or damaged ones.
    """
    if not path.is_file():
        return extract(path)  # which says what is wrong
    kept = _folder() / f"{sha256(path)}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npz"
    with suppress(JsfError, OSError):
        sequence = load_sequence(kept)
        with suppress(OSError):  # somebody else's cache, which may be read
            os.utime(kept)
        return replace(sequence, source=str(path))
    sequence = extract(path)
    with suppress(JsfError, OSError):  # a cache that cannot be written costs time, and no result
        sequence.save(kept)
        _trim(kept)
    return sequence


def _folder() -> Path:
    return cache_folder() / "features"


def _trim(newest: Path) -> None:
    """Removes the files that were not used for longest, until the rest is within the limit."""
    files = [(entry.stat(), Path(entry.path)) for entry in os.scandir(newest.parent) if entry.is_file()]
    files.sort(key=lambda file: file[0].st_mtime_ns, reverse=True)
    total = 0
    for status, file in files:
        total += status.st_size
        if total > LIMIT and file != newest:
            file.unlink(missing_ok=True)
