"""Captions tables: which sentence describes which video."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError

COLUMNS = ("video_id", "sentence")


@dataclass(frozen=True)
class Caption:
    """One sentence about one video; `video_id` is the key of its features."""

    video_id: str
    sentence: str


def read_captions(path: Path) -> list[Caption]:
    """Reads a table with a header that has `video_id` and `sentence`; tab or comma separated, as the header is.

    The published MSR-VTT list has `key,vid_key,video_id,sentence`; other columns are ignored.

    Raises:
        JsfError: the file is missing, empty, not text, lacks a column, or a row has an empty field.
    """
    rows = read_table(path, COLUMNS)
    for line, row in enumerate(rows, start=2):
        for column in COLUMNS:
            if not (row[column] or "").strip():
                raise JsfError(f"{path}, line {line}: '{column}' is empty.")
    return [Caption(row["video_id"].strip(), " ".join(row["sentence"].split())) for row in rows]


def read_table(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a table with a header, by column name.

    Raises:
        JsfError: the file is missing, not text, has no rows, or lacks one of `columns`.
    """
    if not path.is_file():
        raise JsfError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.",
            f"Expected a table with the columns {','.join(columns)}.",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            # In the published tab-separated tables a quotation mark is text.
            style: dict[str, Any] = (
                {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if "\t" in header else {"strict": True}
            )
            names = [name.strip() for name in next(csv.reader([header], **style), [])]
            rows = list(csv.DictReader(file, names, **style))
    except (UnicodeDecodeError, csv.Error) as error:
        raise JsfError(f"{path} is not a readable table: {error}.") from error
    if missing := [column for column in columns if column not in names]:
        raise JsfError(f"{path} has no column {missing}; its header is {names}.", f"Expected: {','.join(columns)}")
    if not rows:
        raise JsfError(f"{path} has a header and no rows.")
    return rows


def video_ids(captions: list[Caption]) -> list[str]:
    """The distinct video ids, in order of first appearance."""
    return list(dict.fromkeys(caption.video_id for caption in captions))
