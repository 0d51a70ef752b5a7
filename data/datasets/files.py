"""Where a published data set's files lie: in its root or in a folder of the root."""

from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.paragraphs import ACTIVITYNET, Fields, Paragraph, read_paragraphs
from jsf.data.store import FeatureStore, open_features

FEATURES = ("features.h5", "features.hdf5", "features")
"""The names under which features of one's own are found: what `jsf extract VIDEOS -o ROOT/features.h5` writes."""


def find(root: Path, *names: str) -> Path | None:
    """The first of `names` that is in `root` or in a folder of it, or None.

    Raises:
        JsfError: `root` is not a folder.
    """
    if not root.is_dir():
        raise JsfError(f"{root} {'is a file' if root.exists() else 'does not exist'}.", "Name a folder: --root DIR")
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    return next((folder / name for name in names for folder in folders if (folder / name).exists()), None)


def locate(root: Path, *names: str) -> Path:
    """As `find`.

    Raises:
        JsfError: none of the names is there.
    """
    if path := find(root, *names):
        return path
    raise JsfError(
        f"{root} and its folders hold no {' or '.join(names)}.", "Put the published file there, or name another --root."
    )


def locate_features(root: Path, *names: str) -> FeatureStore:
    """The feature store under one of the data set's own `names`, or of `FEATURES`.

    Raises:
        JsfError: there is none, or it cannot be read.
    """
    if path := find(root, *names, *FEATURES):
        return open_features(path)
    raise JsfError(
        f"{root} and its folders hold no {' or '.join((*names, *FEATURES))}.",
        f"Extract them: jsf extract VIDEOS -o {root / FEATURES[0]}",
    )


def locate_paragraphs(root: Path, name: str, expected: int, fields: Fields = ACTIVITYNET) -> list[Paragraph]:
    """The paragraphs of a published file, which are as many as `expected`.

    Raises:
        JsfError: the file is absent or damaged, or holds another number of them.
    """
    path = locate(root, name)
    paragraphs = read_paragraphs(path, fields)
    if len(paragraphs) != expected:
        raise JsfError(
            f"{path} has {len(paragraphs):,} paragraphs; the published {name} has {expected:,}.",
            "Put the published file there, or name another --root.",
        )
    return paragraphs
