"""The whole of `jsf bench`: the candidates, side by side in one run."""

from collections.abc import Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS
from jsf.data.task_names import EMBEDDINGS
from jsf.runtime.bench.candidates import Candidate, Opened, bundle_candidates, open_candidates
from jsf.runtime.bench.floor import LargeProduct, find_floor, large_products
from jsf.runtime.bench.machine import describe_machine
from jsf.runtime.bench.measure import (
    ENCODED,
    GALLERY,
    Task,
    draw_inputs,
    interleave,
    time_encoding,
    time_matching,
    time_pairs,
    time_queries,
)
from jsf.runtime.bench.memory import measure_memory
from jsf.runtime.bench.report import Report
from jsf.runtime.bench.rows import choose_baseline, encoding_rows, matching_rows
from jsf.runtime.bench.ways import Way, find_ways
from jsf.runtime.bench.workload import Workload, table_workload
from jsf.runtime.bundle import Bundle
from jsf.runtime.host import Host

PAIRS = 2048
"""Pairs that are timed in buckets."""


def bench(
    bundle: Bundle,
    devices: Sequence[str] = (),
    precisions: Sequence[str] = (),
    captions: Path | None = None,
    frames: int = MAX_STEPS,
    rounds: int = 5,
    peers: Sequence[Candidate] = (),
) -> Report:
    """Measures how fast a bundle runs here.

    Args:
        bundle: of JSFusion; or of an embedding, of which the encoders alone are measured.
        devices: "cpu", "openvino", "cuda"; none for all that are here.
        precisions: "fp32", "fp16", "int8"; none for all that the bundle has.
        captions: a table whose sentences' lengths the pairs have; None for those of usual captions.
        frames: of each video, at most 40.
        rounds: of which medians are taken.
        peers: matchers of the same weights, which run at 40 x 40; ratios refer to the first.

    Raises:
        JsfError: what was asked for is not here, or the table is not readable.
    """
    machine = describe_machine(Host())  # its load, before this adds to it
    manifest, encoders = bundle.manifest, bundle.manifest.running_graphs[:2]
    if manifest.model in EMBEDDINGS and (captions or peers or frames != MAX_STEPS):
        raise JsfError(
            f"{bundle.root} is of {manifest.model}, whose graphs have one size: it takes no table, length or peer.",
            "Leave out --captions, --frames and --ckpt.",
        )
    workload = table_workload(captions, bundle.vocabulary, manifest.task, frames, manifest.left_padded).evenly(PAIRS)
    opened, absent = open_candidates(bundle_candidates(bundle, devices, precisions), devices, precisions)
    ways: list[Way] = []
    if manifest.model not in EMBEDDINGS:
        ways, failed = find_ways([*opened, *(Opened(peer, peer.open()) for peer in peers)], workload)
        absent |= failed
    vocabulary = len(bundle.vocabulary.words)
    tasks: dict[str, Task] = {way.name: partial(time_matching, way.matcher, way.encoded) for way in ways}
    for each in opened:
        tasks |= _encoding(each, encoders, vocabulary)
        tasks |= _answering(each, workload, vocabulary)
    with TemporaryDirectory() as folder:
        products: dict[str, LargeProduct] = {}
        try:
            products = large_products(opened, Path(folder)) if ways else {}
        except JsfError as error:
            absent["the arithmetic's floor"] = error.line
        samples = interleave({**tasks, **products}, rounds)
    memory = measure_memory(ways, opened, workload, vocabulary)
    floor = find_floor(bundle, ways[0], products, samples) if products else None
    baseline = choose_baseline(ways) if ways else None
    return Report(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine,
        bundle=_describe(bundle),
        workload=_shares(workload) if ways else None,
        rounds=rounds,
        baseline=baseline,
        matching=matching_rows(ways, samples, baseline, floor, memory) if baseline else [],
        encoding=encoding_rows(opened, encoders, samples, memory),
        floor=floor,
        absent=absent,
    )


def _encoding(opened: Opened, encoders: Sequence[str], vocabulary: int) -> dict[str, Task]:
    tasks: dict[str, Task] = {}
    for name in encoders:
        encoder = opened.graphs[name]
        inputs = draw_inputs(encoder, ENCODED, vocabulary)
        tasks[f"{opened.name}: {name}"] = partial(time_encoding, encoder, inputs)
    return tasks


def _answering(opened: Opened, workload: Workload, vocabulary: int) -> dict[str, Task]:
    if not opened.matcher:
        return {}
    videos = opened.matcher.inputs[0]
    gallery, _ = workload.evenly(GALLERY).encoded(int(videos.shape[2]), videos.dtype)
    return {
        f"{opened.name}: pair": partial(time_pairs, opened.graphs, workload, vocabulary),
        f"{opened.name}: query": partial(time_queries, opened.graphs, workload, vocabulary, gallery),
    }


def _describe(bundle: Bundle) -> dict[str, Any]:
    manifest = bundle.manifest
    return {
        "folder": str(bundle.root),
        "model": manifest.model,
        "task": manifest.task,
        "preset": manifest.preset,
        "joint_width": manifest.joint_width,
        "fp32": manifest.hashes["fp32"],
    }


def _shares(workload: Workload) -> dict[str, Any]:
    lengths, counts = np.unique(workload.words, return_counts=True)
    words = {str(length): count / len(workload) for length, count in zip(lengths, counts.tolist(), strict=True)}
    return {"source": workload.source, "pairs": len(workload), "frames": workload.frames, "words": words}
