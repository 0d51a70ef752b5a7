"""An index, opened for reading: one state of it, whatever is appended meanwhile."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import MAX_STEPS
from jsf.runtime.index.contents import Contents
from jsf.runtime.index.first_stage import Nearest, nearest
from jsf.runtime.index.graph import Hnsw, has_faiss, view
from jsf.runtime.index.records import INDEX_AGAIN
from jsf.runtime.index.segment import DIGEST, Members, check_size, read_frames, read_members


@dataclass(frozen=True)
class Collection:
    """The videos of an index; embeddings are in memory, frames on disk.

    Attributes:
        folder: the index.
        contents: its `index.json`, as it was when opened.
        ids: of the videos; sources: where each lay.
        embeddings: [V, E] float32, of unit length.
        lengths: [V] int32, the valid frames of each; None where there is no second stage.
        digests: [V, 32] uint8, the SHA-256 of each video's frames; None likewise.
        graph: over the first of the embeddings; None where all are compared.
    """

    folder: Path
    contents: Contents
    ids: list[str]
    sources: list[str]
    embeddings: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int32] | None
    digests: npt.NDArray[np.uint8] | None
    graph: Hnsw | None

    @classmethod
    def open(cls, folder: Path) -> "Collection":
        """Reads all but the frames, and checks it.

        Raises:
            JsfError: the folder is not an index, holds no videos, or is damaged.
        """
        contents = Contents.load(folder)
        if not contents.videos:
            raise JsfError(f"{folder} holds no videos.", INDEX_AGAIN)
        for segment in contents.segments:
            check_size(folder, segment, contents.width)
        matcher, videos = contents.matcher, contents.videos
        embeddings = np.empty((videos, contents.width), np.float32)
        try:  # before the segments, which stay: a larger graph replaces this one
            graph = _graph(folder, contents, embeddings)
        except JsfError:
            if Contents.load(folder) == contents:
                raise
            return cls.open(folder)  # it was replaced meanwhile
        found = cls(
            folder,
            contents,
            ids=[],
            sources=[],
            embeddings=embeddings,
            lengths=np.empty(videos, np.int32) if matcher else None,
            digests=np.empty((videos, DIGEST), np.uint8) if matcher else None,
            graph=graph,
        )
        for segment in track(contents.segments, "opening the index", len(contents.segments)):
            found._take(read_members(folder, segment, contents.width, matcher is not None))
        return found

    def _take(self, members: Members) -> None:
        """Places a segment's videos after those that are there; joining all at the end would take twice the memory."""
        place = slice(len(self.ids), len(self.ids) + len(members.ids))
        self.embeddings[place] = members.embeddings
        if self.lengths is not None and members.lengths is not None:
            self.lengths[place] = members.lengths
        if self.digests is not None and members.digests is not None:
            self.digests[place] = members.digests
        self.ids.extend(members.ids)
        self.sources.extend(members.sources)

    def __len__(self) -> int:
        """How many videos there are."""
        return len(self.ids)

    def nearest(self, queries: npt.NDArray[np.float32], count: int) -> Nearest:
        """The videos whose embeddings are nearest to queries' [Q, E], as the first stage finds them."""
        return nearest(self.embeddings, queries, count, self.graph)

    def frames(self, rows: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int32]]:
        """The encoded frames [R, 40, J] of some videos, read from disk, and their lengths [R].

        Raises:
            JsfError: the index has no second stage, or what is read was changed or is missing.
        """
        matcher, segments = self.contents.matcher, self.contents.segments
        if matcher is None or self.lengths is None or self.digests is None:
            raise JsfError(f"{self.folder} has no second stage: it holds no frames.")
        ends = np.cumsum([segment.videos for segment in segments])
        owners = np.searchsorted(ends, rows, side="right")
        frames = np.empty((len(rows), MAX_STEPS, matcher.width), np.float16)
        for owner in np.unique(owners):
            segment, own = segments[owner], owners == owner
            inside = rows[own] - (ends[owner] - segment.videos)
            frames[own] = read_frames(self.folder, segment, inside, matcher.width, self.digests[rows[own]])
        return frames, self.lengths[rows]


def _graph(folder: Path, contents: Contents, embeddings: npt.NDArray[np.float32]) -> Hnsw | None:
    """The graph of an index, over embeddings that are still to be read; None where it has none that can be used."""
    graph = contents.graph
    return Hnsw.read(folder, graph, view(embeddings)) if graph and graph.good and has_faiss() else None
