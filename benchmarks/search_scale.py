"""What a search over a large collection costs: bytes a video, seconds to open and to answer, and memory.

    python benchmarks/search_scale.py --videos 200000 -o search_scale.json

The collection is simulated: random encodings of the paper's size, written as `jsf index` writes them. The model has the
paper's size and random weights, which changes no time. Queries have nine words, the mean of captions; each is new.
"cold" answers follow after the system forgot what it had read of the frames.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from jsf.calibration.collect import calibrate
from jsf.calibration.inputs import Pairs
from jsf.calibration.int8 import Int8Writer
from jsf.calibration.samples import load_samples
from jsf.data.files import sha256
from jsf.data.progress import track
from jsf.data.vocabulary import Vocabulary
from jsf.export.bundle import export_bundle
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset
from jsf.runtime.bundle import Bundle, graph_path, write_manifest
from jsf.runtime.graph_folder import CPU_INT8
from jsf.runtime.index.build import SEGMENT
from jsf.runtime.index.collection import Collection
from jsf.runtime.index.models import Models
from jsf.runtime.index.search import Searcher
from jsf.runtime.index.segment import Encodings, write_segment
from jsf.runtime.matching import Encoded

FEATURES, WORDS = 2176, 9

PAIRS = 1000
"""Encoded videos that one query is matched with, to measure memory."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--videos", type=int, default=200_000)
    options.add_argument("--rerank", type=int, default=100)
    options.add_argument("--queries", type=int, default=15)
    options.add_argument("--folder", type=Path, help="where the collection is simulated, and removed again")
    options.add_argument("-o", "--out", type=Path, help="the numbers, as JSON")
    chosen = options.parse_args()
    vocabulary = Vocabulary(tuple(f"word{i}" for i in range(1000)))
    model = JSFusion(preset("paper", "retrieval", FEATURES, len(vocabulary))).eval()
    with TemporaryDirectory(dir=chosen.folder) as folder:
        bundle = export_bundle(Checkpoint(model, vocabulary), Path(folder) / "bundle")
        reduce(bundle)
        found = measure(bundle.root, Path(folder) / "index", chosen)
    show(found)
    if chosen.out:
        chosen.out.write_text(json.dumps(found, indent=1) + "\n")


def reduce(bundle: Bundle) -> None:
    """Adds INT8 graphs for CPUs, calibrated on the bundle's samples; they are as fast as others, not as exact."""
    pairs = load_samples(bundle)
    assert isinstance(pairs, Pairs)
    calibration = calibrate(bundle, pairs, "percentile")
    writer = Int8Writer(bundle, calibration, CPU_INT8, {})
    (bundle.root / CPU_INT8).mkdir()
    for name in bundle.manifest.graphs:
        writer.write(name, graph_path(bundle.root, CPU_INT8, name))
    bundle.manifest.hashes[CPU_INT8] = {
        name: sha256(graph_path(bundle.root, CPU_INT8, name)) for name in bundle.manifest.graphs
    }
    write_manifest(bundle.root, bundle.manifest)


def measure(bundle: Path, index: Path, chosen: argparse.Namespace) -> dict[str, float]:
    random = np.random.default_rng(0)
    models = Models.load(bundle, None, "cpu", "fp32")
    assert models.matcher
    found: dict[str, float] = {"videos": chosen.videos, "cores": os.cpu_count() or 0}
    features: list[Any] = [random.standard_normal((40, FEATURES)).astype(np.float32) for _ in range(64)]
    found["fp32 encode, ms a video"] = 1e3 * seconds(lambda: models.matcher.encode_videos(features)) / len(features)
    found["write, s"] = seconds(lambda: simulate(models, index, chosen.videos, random))
    for file in ("frames.npy", "embeddings.npy", "digests.npy", "lengths.npy", "ids.json"):
        found[f"{file}, bytes a video"] = sum(path.stat().st_size for path in index.rglob(file)) / chosen.videos
    before = resident()
    found["open, s"], collection = timed(lambda: Collection.open(index))
    found["opened, MB of memory"] = (resident() - before) / 1e6
    for precision in ("fp32", "int8"):
        searcher = Searcher(collection, Models.load(bundle, None, "cpu", precision))
        # Each query is new: one that was asked before would not be encoded again.
        new = (" ".join(f"word{i}" for i in random.integers(0, 1000, WORDS)) for _ in iter(int, 1))
        numbers = matching(searcher, next(new)) | stages(searcher, list(islice(new, chosen.queries)), chosen.rerank)
        numbers |= answers(searcher, list(islice(new, chosen.queries)), chosen.rerank, "cold", lambda: forget(index))
        numbers |= answers(searcher, list(islice(new, chosen.queries)), chosen.rerank, "warm", lambda: None)
        found |= {f"{precision} {name}": value for name, value in numbers.items()}
    return found


def answers(
    searcher: Searcher, queries: list[str], rerank: int, name: str, prepare: Callable[[], None]
) -> dict[str, float]:
    """How long a whole answer takes."""
    times = []
    for query in queries:
        prepare()
        times.append(timed(lambda: searcher.search(query, rerank=rerank))[0])  # noqa: B023
    return {f"answer {name}, median s": statistics.median(times), f"answer {name}, greatest s": max(times)}


def simulate(models: Models, index: Path, videos: int, random: np.random.Generator) -> None:
    """Writes a collection segment by segment, and its contents."""
    contents, segments = models.contents(index), []
    width = contents.width
    starts = range(0, videos, SEGMENT)
    for number, start in enumerate(track(starts, "simulating", len(starts))):
        count = min(SEGMENT, videos - start)
        ids = [f"video{start + i:09d}" for i in range(count)]
        vectors = random.standard_normal((count, width), np.float32)
        frames = random.random((count, 40, width), np.float32).astype(np.float16)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        encodings = Encodings(vectors, frames, random.integers(20, 41, count).astype(np.int32))
        segments.append(write_segment(index, number, ids, [f"/videos/{i}.mp4" for i in ids], encodings, "simulated"))
    type(contents)(contents.embedding, contents.matcher, tuple(segments)).save(index)


def stages(searcher: Searcher, queries: list[str], rerank: int) -> dict[str, float]:
    """The median milliseconds of each part of an answer, frames read before."""
    models, collection, matcher = searcher.models, searcher.collection, searcher.models.matcher
    assert matcher
    times: dict[str, list[float]] = {"encode the query": [], "first stage": [], "read frames": [], "match": []}
    for query in queries:
        for name, work in (
            ("encode the query", lambda: models.encode_query(query)),  # noqa: B023
            ("first stage", lambda: collection.nearest(asked[0], rerank)[0][0]),  # noqa: B023
            ("read frames", lambda: Encoded(*collection.frames(rows))),  # noqa: B023
            ("match", lambda: matcher.match_all(frames, asked[1])),  # noqa: B023
        ):
            took, result = timed(work)
            times[name].append(took)
            if name == "encode the query":
                asked = result
            elif name == "first stage":
                rows = result
            elif name == "read frames":
                frames = result
    return {f"{name}, median ms": 1e3 * statistics.median(each) for name, each in times.items()}


def matching(searcher: Searcher, query: str) -> dict[str, float]:
    """Memory above the gallery, and time, of one query matched with many encoded videos."""
    matcher = searcher.models.matcher
    assert matcher
    frames = Encoded(*searcher.collection.frames(np.arange(min(PAIRS, len(searcher.collection)))))
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = resident()
    took = seconds(lambda: matcher.match_all(frames, matcher.encode_sentences([query])))
    above = (resident("VmHWM") - before) / 1e6
    return {f"match {len(frames)}, s": took, f"match {len(frames)}, MB above the gallery": above}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def seconds(work: Callable[[], Any]) -> float:
    return timed(work)[0]


def resident(field: str = "VmRSS") -> float:
    """Bytes of this process in memory, now or at most (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(field))


def forget(index: Path) -> None:
    """Has the system drop what it keeps of the frames in memory."""
    for path in index.rglob("frames.npy"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def show(found: dict[str, float]) -> None:
    table = Table("what", title="searching a simulated collection", title_justify="left")
    table.add_column("measured", justify="right")
    for name, value in found.items():
        table.add_row(name, f"{value:,.0f}" if value >= 1000 else f"{value:.4g}")
    Console().print(table)


if __name__ == "__main__":
    main()
