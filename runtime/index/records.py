"""The records of `index.json`, and how they are read from JSON that anyone may have written."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from jsf.data.errors import JsfError

INDEX_AGAIN = "Index the videos again, into a new folder: jsf index PATHS -o NEW"

LEAST_AGREEMENT = 0.95
"""Of a graph that takes the exact product's place."""

Record = TypeVar("Record")


@dataclass(frozen=True)
class BundleRecord:
    """A bundle that made an index.

    Attributes:
        model: "jsfusion", "hse" or "fse".
        path: where it was; a relative path starts at the index.
        width: of an embedding, or of an encoded frame (J).
        hashes: SHA-256 of the vocabulary and of each FP32 graph, which reduced graphs are made of.
    """

    model: str
    path: str
    width: int
    hashes: dict[str, str]


@dataclass(frozen=True)
class SegmentRecord:
    """A segment, which never changes: its folder's name, how many videos it has, what ran, and file -> SHA-256."""

    name: str
    videos: int
    backend: str
    hashes: dict[str, str]


@dataclass(frozen=True)
class GraphRecord:
    """An HNSW graph over the first videos of an index.

    Attributes:
        name: its folder's.
        videos: how many it covers.
        backend: what built it.
        hashes: file -> SHA-256.
        breadth: how many candidates a walk keeps.
        agreement: which share of the exact product's first 100 it finds, measured when it was built.
        queries: with how many, "200 captions" or "200 videos".
    """

    name: str
    videos: int
    backend: str
    hashes: dict[str, str]
    breadth: int
    agreement: float
    queries: str

    @property
    def good(self) -> bool:
        """Whether searches use it: where it loses much, the exact product stays."""
        return self.agreement >= LEAST_AGREEMENT


@dataclass(frozen=True)
class Recall:
    """How often the first stage finds the video that a caption describes.

    Attributes:
        table: the captions' file.
        captions: how many were asked.
        videos: how many the index held then.
        found: K -> captions whose video was among the first K.
    """

    table: str
    captions: int
    videos: int
    found: dict[str, int]

    def shares(self) -> dict[int, float]:
        """K -> recall at K, in order."""
        return {k: self.found[str(k)] / self.captions for k in sorted(map(int, self.found))}

    def at(self, most: int) -> tuple[int, float] | None:
        """The greatest measured K up to `most`, and the recall there; None where there is none."""
        return max(((k, share) for k, share in self.shares().items() if k <= most), default=None)


def record(kind: type[Record], value: Any, path: Path) -> Record:
    """A dataclass from a JSON object that has exactly its fields, of their types; raises JsfError for any other."""
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(value, dict) or set(value) != set(types) or not all(_is(value[n], t) for n, t in types.items()):
        raise JsfError(f"{path}: {str(value)[:80]} is not a {kind.__name__}.", INDEX_AGAIN)
    return kind(**value)


def optional(kind: type[Record], value: Any, path: Path) -> Record | None:
    """As `record`, or None where there is none."""
    return None if value is None else record(kind, value, path)


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is dict:
        return type(value) is dict and all(type(each) is get_args(kind)[1] for each in value.values())
    return type(value) is kind
