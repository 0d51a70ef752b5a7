"""The right to write an index: one process at a time, over whatever a killed one left."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from jsf.data.errors import JsfError
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.graph import GRAPHS
from jsf.runtime.index.segment import FOLDER


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Holds an index's lock, which ends with the process; makes the folder.

    Raises:
        JsfError: another process holds it, the folder is something else, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        strange = [path.name for path in folder.iterdir() if path.name != FOLDER and not path.name.startswith(".")]
        if strange and not (folder / "index.json").is_file():
            raise JsfError(f"{folder} is not an index, and holds other files: {strange[:3]}.", "Name a new folder.")
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise JsfError(f"another process is writing {folder}.", "Wait until it has ended.") from error
    except OSError as error:
        raise JsfError(
            f"cannot write {folder}: {error.strerror or error}.", "Check the folder and the space."
        ) from error


def clean(folder: Path, contents: Contents) -> None:
    """Removes what `index.json` does not name: what a killed run left, and a graph that a larger one replaced."""
    named = {segment.name for segment in contents.segments} | {contents.graph.name if contents.graph else ""}
    for path in (*(folder / FOLDER).glob("*"), *(folder / GRAPHS).glob("*")):
        if path.name not in named:
            shutil.rmtree(path)
    for path in folder.glob(".index.*.json"):
        path.unlink()
