"""The demo's report as tables."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from jsf.demo.run import Report
from jsf.evaluation.metrics import Ranking, chance

DIRECTIONS = {"text_to_video": "sentence -> video", "video_to_text": "video -> sentence"}
RECALLS = (1, 5, 10)


def print_report(report: Report, out: Path) -> None:
    """Prints retrieval beside chance, hard negatives beside the control, search, parity, engines and timing."""
    console = Console()
    tables = (_retrieval(report), _hard_negatives(report), _search(report), _parity(report), _seconds(report))
    for table in tables:
        console.print(table)
    console.print(...)
