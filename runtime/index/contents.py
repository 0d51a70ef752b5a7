"""`index.json`: what an index holds and what made it. It is replaced as a whole, so a reader sees one state of it.

```
index/
  index.json         the bundles that made it, the recall of its first stage, and its segments in order, with SHA-256
  segments/<n>-<random>/
                     ids.json  embeddings.npy  (with a second stage: frames.npy  lengths.npy  digests.npy)
```
"""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json

SCHEMA = 1

INDEX_AGAIN = "Index the videos again, into a new folder: jsf index PATHS -o NEW"

_NAME = re.compile(r"\d+-[0-9a-f]{8}")

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


@dataclass(frozen=True)
class Contents:
    """`index.json`.

    Attributes:
        embedding: what embeds videos and texts for the first stage; None where `matcher`'s encodings are pooled.
        matcher: the JSFusion of the second stage; None where there is none.
        segments: in the order of their videos.
        recall: of the first stage; None where it was not measured.
    """

    embedding: BundleRecord | None
    matcher: BundleRecord | None
    segments: tuple[SegmentRecord, ...] = ()
    recall: Recall | None = None

    @property
    def videos(self) -> int:
        """How many there are."""
        return sum(segment.videos for segment in self.segments)

    @property
    def width(self) -> int:
        """E of an embedding of the first stage."""
        first = self.embedding or self.matcher
        assert first is not None
        return first.width

    @classmethod
    def load(cls, folder: Path) -> "Contents":
        """Reads an index's contents, once.

        Raises:
            JsfError: the folder is not an index, or its index.json is damaged or of another schema.
        """
        path = folder / "index.json"
        if not path.is_file():
            raise JsfError(f"{folder} is not an index: it has no index.json.", f"Make one: jsf index PATHS -o {folder}")
        value = read_json(path)
        if value.get("schema") != SCHEMA:
            raise JsfError(f"{path} has schema {value.get('schema')!r}; this jsf reads schema {SCHEMA}.", INDEX_AGAIN)
        segments = value.get("segments")
        if not isinstance(segments, list):
            raise JsfError(f"{path}: 'segments' is {segments!r}, expected a list.", INDEX_AGAIN)
        embedding, matcher = (_optional(BundleRecord, value.get(name), path) for name in ("embedding", "matcher"))
        contents = cls(
            embedding,
            matcher,
            tuple(_record(SegmentRecord, segment, path) for segment in segments),
            _optional(Recall, value.get("recall"), path),
        )
        _check(contents, path)
        return contents

    def save(self, folder: Path) -> None:
        """Writes `index.json`, whole or not at all: what it names must be there already."""
        write_json(folder / "index.json", {"schema": SCHEMA, "videos": self.videos, **asdict(self)})


def _check(contents: Contents, path: Path) -> None:
    """What types do not say: file names stay in the folder, and sizes are sizes."""
    bundles = [bundle for bundle in (contents.embedding, contents.matcher) if bundle]
    names = all(_NAME.fullmatch(segment.name) for segment in contents.segments)
    sizes = [*(segment.videos for segment in contents.segments), *(bundle.width for bundle in bundles)]
    counted = contents.recall is None or (
        contents.recall.captions > 0 and all(k.isdigit() for k in contents.recall.found)
    )
    if not (bundles and names and counted and all(size > 0 for size in sizes)):
        raise JsfError(f"{path} does not describe an index.", INDEX_AGAIN)


def _optional(kind: type[Record], value: Any, path: Path) -> Record | None:
    return None if value is None else _record(kind, value, path)


def _record(kind: type[Record], value: Any, path: Path) -> Record:
    """A dataclass from a JSON object that has exactly its fields, of their types."""
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(value, dict) or set(value) != set(types) or not all(_is(value[n], t) for n, t in types.items()):
        raise JsfError(f"{path}: {str(value)[:80]} is not a {kind.__name__}.", INDEX_AGAIN)
    return kind(**value)


def _is(value: Any, kind: Any) -> bool:
    if get_origin(kind) is dict:
        return type(value) is dict and all(type(each) is get_args(kind)[1] for each in value.values())
    return type(value) is kind
