"""`index.json`: what an index holds and what made it. It is replaced as a whole, so a reader sees one state of it.

```
index/
  index.json         the bundles that made it, the recall of its first stage, and its segments in order, with SHA-256
  segments/<n>-<random>/
                     ids.json  embeddings.npy  (with a second stage: frames.npy  lengths.npy  digests.npy)
  graphs/<videos>-<random>/
                     levels.npy  links.npy     (of a large collection, where faiss was there)
```
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json
from jsf.runtime.index.records import INDEX_AGAIN, BundleRecord, GraphRecord, Recall, SegmentRecord, optional, record

SCHEMA = 1

MOST_BREADTH = 1 << 16
"""Of a graph's walks: each takes memory by it."""

_NAME = re.compile(r"\d+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Contents:
    """`index.json`.

    Attributes:
        embedding: what embeds videos and texts for the first stage; None where `matcher`'s encodings are pooled.
        matcher: the JSFusion of the second stage; None where there is none.
        segments: in the order of their videos.
        recall: of the first stage; None where it was not measured.
        graph: of a large collection, for its first stage; None where all is compared.
    """

    embedding: BundleRecord | None
    matcher: BundleRecord | None
    segments: tuple[SegmentRecord, ...] = ()
    recall: Recall | None = None
    graph: GraphRecord | None = None

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
        embedding, matcher = (optional(BundleRecord, value.get(name), path) for name in ("embedding", "matcher"))
        contents = cls(
            embedding,
            matcher,
            tuple(record(SegmentRecord, segment, path) for segment in segments),
            optional(Recall, value.get("recall"), path),
            optional(GraphRecord, value.get("graph"), path),
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
    graph = contents.graph
    covers = graph is None or (
        _NAME.fullmatch(graph.name)
        and 0 < graph.videos <= contents.videos
        and 0 < graph.breadth <= MOST_BREADTH
        and 0 <= graph.agreement <= 1
    )
    if not (bundles and names and counted and covers and all(size > 0 for size in sizes)):
        raise JsfError(f"{path} does not describe an index.", INDEX_AGAIN)
