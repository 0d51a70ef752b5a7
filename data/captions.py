"""Captions tables: which sentence describes which video."""

from dataclasses import dataclass
from pathlib import Path

from jsf.data.columns import read_table


@dataclass(frozen=True)
class Caption:
    """One sentence about one video; `video_id` is the key of its features."""

    video_id: str
    sentence: str


def read_captions(path: Path) -> list[Caption]:
    """Reads a table with a header that has `video_id` and `sentence`; tab or comma separated, as the header is.

    The published MSR-VTT list has `key,vid_key,video_id,sentence`, the authors' LSMDC tables `key`, `vid_key` and
    `description`, tables for recognition a `label`; other columns are ignored.

    Raises:
        JsfError: the file is missing, empty, not text, lacks a column, or a row has an empty field.
    """
    rows = read_table(path, ("video_id|vid_key", "sentence|description|label"))
    return [Caption(row["video_id"], row["sentence"]) for _, row in rows]


def video_ids(captions: list[Caption]) -> list[str]:
    """The distinct video ids, in order of first appearance."""
    return list(dict.fromkeys(caption.video_id for caption in captions))
