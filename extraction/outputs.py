"""Where features are written: the output that a name stands for, and who may write it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import Timeout

from jsf.data.errors import JsfError
from jsf.data.locks import lock_of
from jsf.data.store import HDF5_SUFFIXES
from jsf.extraction.feature_file import FeatureFile
from jsf.extraction.feature_folder import FeatureFolder


@contextmanager
def open_output(videos: Sequence[Path], out: Path, identity: str, limit: int) -> Iterator[FeatureFolder | FeatureFile]:
    """The output that `out` names: an HDF5 file, a folder, or one .npz.

    Raises:
        JsfError: as they do; or another process writes the HDF5 file.
    """
    if out.suffix in HDF5_SUFFIXES:
        with _alone(out):
            yield FeatureFile(videos, out, identity, limit)
    else:
        yield FeatureFolder(videos, out, identity, limit)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Holds a file's lock, which ends with the process, and leaves nothing beside the file."""
    try:
        lock = lock_of(out)
        lock.acquire(timeout=0)
    except Timeout as error:
        raise JsfError(f"another process is writing {out}.", "Wait until it has ended; then run this again.") from error
    except OSError as error:
        raise JsfError(f"cannot lock {out}: {error}.", "Check the user's cache.") from error
    try:
        yield
    finally:
        lock.release()
