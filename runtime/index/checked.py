"""Files of a segment, read and checked: their size before memory is allocated, and their SHA-256."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.runtime.index.contents import INDEX_AGAIN, SegmentRecord

FOLDER = "segments"

_HEADER = 4096
"""More than an .npy file's header has, in bytes."""


def read_array(index: Path, segment: SegmentRecord, name: str, dtype: type, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array [V, *shape] of a segment.

    Raises:
        JsfError: the file is missing, was changed, or has another shape or type.
    """
    expected = (segment.videos, *shape)
    data = read_bytes(index, segment, name, int(np.prod(expected)) * np.dtype(dtype).itemsize + _HEADER)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise damaged(index, segment, name) from error
    if not isinstance(array, np.ndarray) or array.shape != expected or array.dtype != dtype:
        raise damaged(index, segment, name)
    return array


def read_bytes(index: Path, segment: SegmentRecord, name: str, most: int) -> bytes:
    """A file of a segment, of at most so many bytes, whose content is the one that the index names.

    Raises:
        JsfError: the file is missing, or was changed.
    """
    path = index / FOLDER / segment.name / name
    if not path.is_file():
        raise missing(path)
    if path.stat().st_size > most:
        raise damaged(index, segment, name)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != segment.hashes.get(name):
        raise damaged(index, segment, name)
    return data


def missing(path: Path) -> JsfError:
    """What is raised where a file of a segment is not there."""
    return JsfError(f"{path} is missing.", INDEX_AGAIN)


def damaged(index: Path, segment: SegmentRecord, name: str) -> JsfError:
    """What is raised where a file of a segment is not what was written."""
    return JsfError(f"{index / FOLDER / segment.name / name} was changed since it was written.", INDEX_AGAIN)
