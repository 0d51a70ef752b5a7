"""Locks of files and folders, in the user's cache: they end with the process, and leave nothing beside the file."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from jsf.data.errors import JsfError
from jsf.data.files import cache_folder


@contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """One process at a time has the lock of a path; another waits, or is refused.

    Raises:
        JsfError: another process has it and `wait` is not set, or the user's cache cannot be written.
    """
    name = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()
    file = cache_folder() / "locks" / f"{name}.lock"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(file)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise JsfError(
            f"another process is writing {path}.", "Wait until it has ended; then run this again."
        ) from error
    except OSError as error:
        raise JsfError(f"cannot lock {path}: {error}.", "Check the user's cache.") from error
    try:
        yield
    finally:
        lock.release()
