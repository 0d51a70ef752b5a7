"""Files of an index, read and checked: their size before memory is allocated, and their SHA-256."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.runtime.index.records import INDEX_AGAIN

_HEADER = 4096
"""More than an .npy file's header has, in bytes."""


def read_array(path: Path, digest: str | None, dtype: type, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """An array of an index; `digest` is the SHA-256 that its file must have.

    Raises:
        JsfError: the file is missing, was changed, or has another shape or type.
    """
    data = read_bytes(path, digest, int(np.prod(shape)) * np.dtype(dtype).itemsize + _HEADER)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise damaged(path) from error
    if not isinstance(array, np.ndarray) or array.shape != shape or array.dtype != dtype:
        raise damaged(path)
    return array


def read_bytes(path: Path, digest: str | None, most: int) -> bytes:
    """A file of an index, of at most so many bytes; `digest` is the SHA-256 that it must have.

    Raises:
        JsfError: the file is missing, or was changed.
    """
    if not path.is_file():
        raise missing(path)
    if path.stat().st_size > most:
        raise damaged(path)
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != digest:
        raise damaged(path)
    return data


def missing(path: Path) -> JsfError:
    """What is raised where a file of an index is not there."""
    return JsfError(f"{path} is missing.", INDEX_AGAIN)


def damaged(path: Path) -> JsfError:
    """What is raised where a file of an index is not what was written."""
    return JsfError(f"{path} was changed since it was written.", INDEX_AGAIN)
