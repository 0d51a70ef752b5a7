"""Locks of files and folders, in the user's cache: they end with the process, and leave nothing beside the file."""

import hashlib
from pathlib import Path

from filelock import FileLock

from jsf.data.files import cache_folder


def lock_of(path: Path) -> FileLock:
    """The lock of a path, not yet taken; one process at a time has it.

    Raises:
        OSError: the user's cache cannot be written.
    """
    name = hashlib.sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()
    file = cache_folder() / "locks" / f"{name}.lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(file)
