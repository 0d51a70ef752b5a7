"""Where features are written: the output that a name stands for, and who may write it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from jsf.data.locks import locked
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
        with locked(out, wait=False):
            yield FeatureFile(videos, out, identity, limit)
    else:
        yield FeatureFolder(videos, out, identity, limit)
