"""How much faster the matcher of the paper's size is in INT8 than in FP32, on ONNX Runtime's CPU, side by side.

    python benchmarks/int8_speed.py

The weights are random, which changes no time. Both graphs take turns, and the median of the rounds counts.
"""

import argparse
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from jsf.calibration.collect import calibrate
from jsf.calibration.inputs import Pairs
from jsf.calibration.int8 import Int8Writer
from jsf.calibration.samples import load_samples
from jsf.data.vocabulary import Vocabulary
from jsf.export.bundle import export_bundle
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset
from jsf.runtime.backends.base import Arrays
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import Bundle
from jsf.runtime.graph_folder import CPU_INT8

FEATURES = 2176
"""ResNet-152 and VGGish, as in the paper."""

LENGTHS = ((40, 40), (40, 20), (40, 10))
"""Frames and words of the pairs that are timed."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--batch", type=int, default=8, help="pairs at once")
    options.add_argument("--rounds", type=int, default=15)
    chosen = options.parse_args()
    vocabulary = Vocabulary(tuple(f"word{i}" for i in range(1000)))
    model = JSFusion(preset("paper", "retrieval", FEATURES, len(vocabulary))).eval()
    with TemporaryDirectory() as folder:
        bundle = export_bundle(Checkpoint(model, vocabulary), Path(folder) / "bundle")
        graphs = load(bundle, Path(folder))
    table = Table(title=f"the paper's matcher, {chosen.batch} pairs at once, ms a pair", title_justify="left")
    for column in ("frames x words", *graphs, "faster"):
        table.add_column(column, justify="right")
    for frames, words in LENGTHS:
        times = measure(graphs, draw(frames, words, chosen.batch, graphs["fp32"]), chosen)
        fp32, int8 = (times[name] / chosen.batch * 1e3 for name in graphs)
        table.add_row(f"{frames} x {words}", f"{fp32:.2f}", f"{int8:.2f}", f"{fp32 / int8:.2f}x")
    Console().print(table)


def load(bundle: Bundle, folder: Path) -> dict[str, OnnxRuntimeGraph]:
    pairs = load_samples(bundle)
    assert isinstance(pairs, Pairs)
    calibration = calibrate(bundle, pairs, "percentile")
    path = folder / "matcher.onnx"
    Int8Writer(bundle, calibration, CPU_INT8, {}).write("matcher.buckets", path)
    return {"fp32": OnnxRuntimeGraph(bundle.graph("fp32", "matcher.buckets")), CPU_INT8: OnnxRuntimeGraph(path)}


def draw(frames: int, words: int, pairs: int, graph: OnnxRuntimeGraph) -> Arrays:
    random = np.random.default_rng(0)
    joint = graph.inputs[0].shape[2]
    videos, sentences = (random.uniform(-1, 1, (pairs, n, joint)).astype(np.float32) for n in (frames, words))
    each = np.arange(pairs, dtype=np.int32)
    lengths = {"video_lengths": np.full_like(each, frames), "sentence_lengths": np.full_like(each, words)}
    return {"videos": videos, "sentences": sentences, **lengths, "video_index": each, "sentence_index": each}


def measure(graphs: dict[str, OnnxRuntimeGraph], inputs: Arrays, chosen: argparse.Namespace) -> dict[str, float]:
    """Graph -> the median seconds of a run."""
    times: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(chosen.rounds + 1):
        for name, graph in graphs.items():
            start = time.perf_counter()
            graph.run(inputs)
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(each[1:]) for name, each in times.items()}


if __name__ == "__main__":
    main()
