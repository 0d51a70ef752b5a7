"""Tables with a header, by column name: what the readers of captions, questions and blanks share."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from jsf.data.errors import JsfError


def read_header(path: Path) -> list[str]:
    """The column names of a table.

    Raises:
        JsfError: the file is missing or not text.
    """
    with _open_table(path) as (_, names, _):
        return names


def read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """The rows of a table with a header, tab or comma separated, as the header is.

    Args:
        path: the table.
        columns: those that it must have; "video_id|vid_key" is a column of either name, found under the first.

    Returns:
        (place, cells by column name) of each row. The place is for messages: "captions.csv, line 3". White space in
        a cell is single spaces; cells of `columns` are not empty; those of other columns may be.

    Raises:
        JsfError: the file is missing, not text, has no rows, lacks a column, or a row's cells are too many or empty.
    """
    with _open_table(path) as (file, names, style):
        found = {wanted: next((name for name in wanted.split("|") if name in names), "") for wanted in columns}
        if missing := [wanted.replace("|", " or ") for wanted in columns if not found[wanted]]:
            raise JsfError(
                f"{path} has no column {missing}; its header is {names}.",
                f"Expected: {','.join(wanted.partition('|')[0] for wanted in columns)}",
            )
        if twice := [name for name in found.values() if names.count(name) > 1]:
            raise JsfError(f"{path} has the column {twice} more than once; its header is {names}.")
        reader = csv.DictReader(file, names, restval="", **style)
        rows = [_row(f"{path}, line {reader.line_num + 1}", cells, found) for cells in reader]
    if not rows:
        raise JsfError(f"{path} has a header and no rows.")
    return rows


@contextmanager
def _open_table(path: Path) -> Iterator[tuple[TextIO, list[str], dict[str, Any]]]:
    """(the file after its header, the column names, the csv module's options)."""
    if not path.is_file():
        raise JsfError(
            f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.",
            "Expected a table with the columns video_id,sentence, or one of questions or blanks.",
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            # In the published tab-separated tables a quotation mark is text.
            style: dict[str, Any] = (
                {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if "\t" in header else {"strict": True}
            )
            yield file, [name.strip() for name in next(csv.reader([header], **style), [])], style
    except (UnicodeDecodeError, csv.Error) as error:
        raise JsfError(f"{path} is not a readable table: {error}.") from error


def _row(place: str, cells: dict[Any, Any], found: dict[str, str]) -> tuple[str, dict[str, str]]:
    if extra := [cell for cell in cells.pop(None, []) if cell.strip()]:
        raise JsfError(
            f"{place}: more cells than the header has columns: {extra}.",
            "A cell that holds a comma needs quotation marks in a comma-separated table.",
        )
    row = {name: " ".join(cell.split()) for name, cell in cells.items()}
    for wanted, name in found.items():
        if not row[name]:
            raise JsfError(f"{place}: '{name}' is empty.")
        row[wanted.partition("|")[0]] = row[name]
    return place, row
