"""Files that are either whole or absent: written to a temporary name, then renamed."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary path (file or folder) beside `target`; renames it to `target` on success, removes it on error.

    The temporary name keeps the suffix, because numpy and the encoders choose a format by it.
    """
    target = target.absolute()  # "." has no name to put a temporary one beside
    temporary = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_dir() and target.exists():  # a folder cannot be renamed over another
            old = target.rename(target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old"))
            temporary.replace(target)
            shutil.rmtree(old)
        else:
            temporary.replace(target)
    except OSError as error:
        raise JsfError(
            f"cannot write {target}: {error.strerror or error}.", "Check the folder and the free space."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():
            temporary.unlink()


def cache_folder() -> Path:
    """Where jsf keeps what it can make again: `$XDG_CACHE_HOME/jsf`, or `~/.cache/jsf`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jsf"


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks; raises JsfError where it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise JsfError(f"{path} cannot be read: {error.strerror or error}.", "Check its permissions.") from error
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        JsfError: the file is missing, is not JSON, or is not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise JsfError(f"{path} does not exist.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise JsfError(f"{path} is not readable JSON: {error}.") from error
    if not isinstance(value, dict):
        raise JsfError(f"{path} holds a JSON {type(value).__name__}, expected an object.")
    return value


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
