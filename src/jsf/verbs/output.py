"""How results are shown: JSON for machines, tables for people, notes on standard error."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    print(json.dumps(value, ensure_ascii=False))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on standard output: the first column is text, the others are numbers."""
    table = Table()
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False, emoji=False, highlight=False)  # names such as "clip [final].npz" are not markup
    console.print(title, style="italic")  # the table's own title would wrap at the table's width
    console.print(table)


def note(text: str) -> None:
    """A line on standard error, out of the way of the result."""
    Console(stderr=True, markup=False, emoji=False, highlight=False).print(text, soft_wrap=True)
