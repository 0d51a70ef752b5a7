"""The first stage alone: an exact product against a walk of a graph (HNSW), over simulated embeddings.

    python benchmarks/first_stage.py --videos 200000 --kind clustered -o first_stage.json

"clustered": a hundred videos around each of many random directions, at a cosine of 0.7 with it and of 0.5 with one
another; queries at a cosine of 0.45, each with another of the directions. "random": videos and queries all over the
sphere, where no neighbour leads to another: the worst that a graph can meet, and no model's embeddings.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from jsf.data.progress import track
from jsf.runtime.index.first_stage import nearest
from jsf.runtime.index.graph import PER, Hnsw, empty, view
from jsf.runtime.index.growing import BREADTHS

WIDTH, PART, CLUSTER = 512, 1024, 100


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=200_000)
    options.add_argument("--kind", choices=["clustered", "random"], default="clustered")
    options.add_argument("--queries", type=int, default=100)
    options.add_argument("-o", "--out", type=Path, help="the numbers, as JSON")
    chosen = options.parse_args()
    found = {"kind": chosen.kind, **measure(chosen.videos, chosen.kind, chosen.queries)}
    table = Table("what", title="the first stage over simulated embeddings", title_justify="left")
    table.add_column("measured", justify="right")
    for name, value in found.items():
        table.add_row(name, value if isinstance(value, str) else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}")
    Console().print(table)
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n")


def measure(videos: int, kind: str, count: int) -> dict[str, float]:
    vectors, queries = simulate(videos, kind, count)
    found: dict[str, float] = {"videos": videos, "cores": os.cpu_count() or 0}
    exact = nearest(vectors, queries, PER)[0]
    found |= speed("exact", vectors, queries, None)
    before = resident()
    found["build, s"], arrays = timed(lambda: build(vectors))
    found["build, MB at most"] = (resident("VmHWM") - before) / 1e6
    found["graph, bytes a video"] = sum(array.nbytes for array in arrays.values()) / videos
    graph = Hnsw(view(vectors), **arrays)
    for graph.breadth in BREADTHS:
        rows = graph.nearest(queries, PER)[0]
        name = f"breadth {graph.breadth}"
        found[f"{name}, agreement at {PER}"] = float(
            np.mean([np.isin(ours, theirs).mean() for ours, theirs in zip(exact, rows, strict=True)])
        )
        first = [ours[0] in theirs for ours, theirs in zip(exact, rows, strict=True)]
        found[f"{name}, nearest found"] = float(np.mean(first))
        found |= speed(name, vectors, queries, graph)
    return found


def simulate(videos: int, kind: str, count: int) -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    if kind == "random":
        return unit(random, videos), unit(random, count)
    centres = unit(random, max(1, videos // CLUSTER))
    vectors = np.empty((videos, WIDTH), np.float32)
    for start in range(0, videos, 1 << 16):
        some = vectors[start : start + (1 << 16)]
        some[:] = around(random, centres, len(some), 1)
    return vectors, around(random, centres, count, 2)


def unit(random: np.random.Generator, count: int) -> Any:
    return normal(random.standard_normal((count, WIDTH), np.float32))


def around(random: np.random.Generator, centres: Any, count: int, distance: float) -> Any:
    return normal(centres[random.integers(0, len(centres), count)] + distance * unit(random, count))


def normal(vectors: Any) -> Any:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def build(vectors: Any) -> dict[str, Any]:
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    graph = Hnsw(empty(WIDTH, len(vectors)))
    starts = range(0, len(vectors), PART)
    for start in track(starts, "linking", len(starts)):
        graph.add(vectors[start : start + PART])
    return graph.arrays


def speed(name: str, vectors: Any, queries: Any, graph: Hnsw | None) -> dict[str, float]:
    """Milliseconds a query, asked one by one and all at once."""
    alone = [timed(lambda: nearest(vectors, query[None], PER, graph))[0] for query in queries]  # noqa: B023
    together = [timed(lambda: nearest(vectors, queries, PER, graph))[0] for _ in range(3)]
    return {
        f"{name}, ms": 1e3 * statistics.median(alone),
        f"{name}, ms of {len(queries)} at once": 1e3 * statistics.median(together) / len(queries),
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def resident(field: str = "VmRSS") -> float:
    """Bytes of this process in memory, now or at most (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
