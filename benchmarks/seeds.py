"""What the training benchmarks have in common: recall of a matrix of scores, and a table with a row a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from jsf.evaluation.metrics import ranks

Runs = list[dict[str, Any]]
"""What each seed of a model reached."""


def recalls(scores: npt.NDArray[Any], relevant: npt.NDArray[np.bool_], ks: Sequence[int]) -> dict[str, Any]:
    """Recall@k and the median rank both ways, and the rank of each query, for paired comparisons."""
    found: dict[str, Any] = {}
    for way, rank in (("t2v", ranks(scores.T, relevant.T)), ("v2t", ranks(scores, relevant))):
        found |= {f"{way} R@{k}": float(100 * (rank <= k).mean()) for k in ks}
        found |= {f"{way} MedR": float(np.median(rank)), f"{way} ranks": rank.tolist()}
    return found


def print_seeds(title: str, results: dict[str, Runs], more: dict[str, Sequence[str]], columns: Sequence[str]) -> None:
    """A row a model: the mean of its seeds, each seed's value where there are several, and `more` columns."""
    names = [name for name, value in next(iter(results.values()))[0].items() if isinstance(value, float)]
    table = Table(title=title, title_justify="left")
    for column in ("model", *names, *columns):
        table.add_column(column, justify="left" if column == "model" else "right")
    for model, runs in results.items():
        cells = []
        for name in names:
            values = [found[name] for found in runs]
            each = f" ({', '.join(f'{value:.0f}' for value in values)})" if len(values) > 1 else ""
            cells.append(f"{np.mean(values):.1f}{each}")
        table.add_row(model, *cells, *more.get(model, [""] * len(columns)))
    Console(width=220).print(table)
