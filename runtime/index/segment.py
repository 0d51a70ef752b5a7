"""A segment: about a thousand videos of an index, written once and never changed."""

import hashlib
import json
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.files import replacing, sha256, write_json
from jsf.data.sequence import MAX_STEPS
from jsf.runtime.index.checked import damaged, missing, read_array, read_bytes
from jsf.runtime.index.records import SegmentRecord

FOLDER = "segments"

MAX_IDS = 1 << 28
"""The largest ids.json that is read, in bytes."""

DIGEST = hashlib.sha256().digest_size
"""Bytes of a SHA-256."""


@dataclass(frozen=True)
class Encodings:
    """Videos as an index keeps them.

    Attributes:
        embeddings: [V, E] float32, of unit length.
        frames: [V, 40, J] float16, the matcher's encoded frames; None where there is no second stage.
        lengths: [V] int32, the valid ones of those; None likewise.
    """

    embeddings: npt.NDArray[np.float32]
    frames: npt.NDArray[np.float16] | None = None
    lengths: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class Members:
    """What is read of a segment when an index is opened: all but the frames.

    Attributes:
        ids: of its videos; sources: where each lay.
        embeddings: [V, E] float32.
        lengths: [V] int32, the valid frames of each video; None without a second stage.
        digests: [V, 32] uint8, the SHA-256 of each video's frames; None likewise.
    """

    ids: list[str]
    sources: list[str]
    embeddings: npt.NDArray[np.float32]
    lengths: npt.NDArray[np.int32] | None
    digests: npt.NDArray[np.uint8] | None


def write_segment(
    index: Path, number: int, ids: list[str], sources: list[str], encodings: Encodings, backend: str
) -> SegmentRecord:
    """Writes a segment's folder, whole or not at all; it belongs to the index when `index.json` names it."""
    arrays: dict[str, npt.NDArray[Any]] = {"embeddings": encodings.embeddings}
    if encodings.frames is not None and encodings.lengths is not None:
        digests = np.stack([digest(frames) for frames in encodings.frames])
        arrays |= {"frames": encodings.frames, "lengths": encodings.lengths, "digests": digests}
    name = f"{number}-{uuid.uuid4().hex[:8]}"
    with replacing(index / FOLDER / name) as temporary:
        temporary.mkdir()
        write_json(temporary / "ids.json", {"ids": ids, "sources": sources})
        for array, values in arrays.items():
            np.save(temporary / f"{array}.npy", values, allow_pickle=False)
        # The digests cover the frames, row by row: what a search reads of them is checked without reading the rest.
        hashes = {path.name: sha256(path) for path in sorted(temporary.iterdir()) if path.name != "frames.npy"}
    return SegmentRecord(name, len(ids), backend, hashes)


def read_ids(index: Path, segment: SegmentRecord) -> tuple[list[str], list[str]]:
    """The ids of a segment's videos, and where each lay.

    Raises:
        JsfError: the file is missing or damaged.
    """
    path = index / FOLDER / segment.name / "ids.json"
    try:
        value = json.loads(read_bytes(path, segment.hashes.get(path.name), MAX_IDS))
        ids, sources = list(map(str, value["ids"])), list(map(str, value["sources"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise damaged(path) from error
    if not len(ids) == len(sources) == segment.videos:
        raise damaged(path)
    return ids, sources


def check_size(index: Path, segment: SegmentRecord, width: int) -> None:
    """Raises JsfError unless a segment's embeddings take the bytes that the index says: memory is allocated by it."""
    path = index / FOLDER / segment.name / "embeddings.npy"
    if not path.is_file():
        raise missing(path)
    if path.stat().st_size < segment.videos * width * np.dtype(np.float32).itemsize:
        raise damaged(path)


def read_members(index: Path, segment: SegmentRecord, width: int, second_stage: bool) -> Members:
    """All but the frames, each file checked against its SHA-256.

    Raises:
        JsfError: a file is missing, was changed, or has another shape than the index says.
    """
    arrays: list[Any] = [None, None]
    if second_stage:
        arrays = [_array(index, segment, "lengths", np.int32), _array(index, segment, "digests", np.uint8, DIGEST)]
        if arrays[0].min() < 1 or arrays[0].max() > MAX_STEPS:
            raise damaged(index / FOLDER / segment.name / "lengths.npy")
    return Members(*read_ids(index, segment), read_embeddings(index, segment, width), *arrays)


def read_embeddings(index: Path, segment: SegmentRecord, width: int) -> npt.NDArray[np.float32]:
    """The embeddings [V, E] of a segment's videos.

    Raises:
        JsfError: the file is missing, was changed, or has another shape than the index says.
    """
    return _array(index, segment, "embeddings", np.float32, width)


def _array(index: Path, segment: SegmentRecord, name: str, dtype: type, *shape: int) -> npt.NDArray[Any]:
    """An array [V, *shape] of a segment."""
    path = index / FOLDER / segment.name / f"{name}.npy"
    return read_array(path, segment.hashes.get(path.name), dtype, (segment.videos, *shape))


def read_frames(
    index: Path, segment: SegmentRecord, rows: npt.NDArray[np.intp], width: int, digests: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float16]:
    """The encoded frames [R, 40, J] of some videos of a segment, through a memory map.

    Args:
        index: the index's folder.
        segment: whose frames.
        rows: which of its videos, [R].
        width: J.
        digests: [R, 32], what the SHA-256 of each must be.

    Raises:
        JsfError: the file is missing, was changed, or has another shape than the index says.
    """
    path = index / FOLDER / segment.name / "frames.npy"
    try:
        frames = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise missing(path) from error
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path) from error
    if frames.shape != (segment.videos, MAX_STEPS, width) or frames.dtype != np.float16:
        raise damaged(path)
    found: npt.NDArray[np.float16] = np.asarray(frames[rows])
    for row, expected in zip(found, digests, strict=True):
        if (digest(row) != expected).any():
            raise damaged(path)
    return found


def digest(frames: npt.NDArray[np.float16]) -> npt.NDArray[np.uint8]:
    """SHA-256 of a video's frames [40, J]: [32]."""
    return np.frombuffer(hashlib.sha256(frames.tobytes()).digest(), np.uint8)
