"""Seconds of each round -> the rows of a report."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from jsf.runtime.bench.candidates import Opened
from jsf.runtime.bench.measure import ALL, ENCODED, planned, size
from jsf.runtime.bench.report import Encoding, Floor, Latency, Matching, SizeSpeed
from jsf.runtime.bench.ways import Way, full_name

Samples = Mapping[str, Mapping[str, Sequence[float]]]
"""Task -> what it timed -> the seconds of each time."""

Memory = Mapping[str, int | None]
"""A way's or a candidate's name -> bytes."""


def matching_rows(
    ways: Sequence[Way], samples: Samples, baseline: str, floor: Floor | None, memory: Memory
) -> list[Matching]:
    """A row for each way, the fastest first."""
    speeds = {way.name: len(way.encoded[0]) / statistics.median(samples[way.name][ALL]) for way in ways}
    rows = []
    for way in ways:
        candidate, speed = way.opened.candidate, speeds[way.name]
        least = floor.seconds(candidate.precision) if floor and candidate.device != "cuda" else None
        rows.append(
            Matching(
                way.name,
                way.opened.graphs.description,
                candidate.device,
                candidate.precision,
                way.batch is None,
                speed,
                speed / speeds[baseline],
                least * speed if least else None,
                _sizes(way, samples[way.name]),
                way.difference,
                memory[way.name],
            )
        )
    return sorted(rows, key=lambda row: -row.pairs_per_second)


def choose_baseline(ways: Sequence[Way]) -> str:
    """What ratios refer to: the first peer, ONNX Runtime at 40 x 40 in FP32, the first at 40 x 40, or the first."""
    peers = [way.name for way in ways if way.opened.candidate.peer]
    usual = [way.name for way in ways if way.name == full_name("ONNX Runtime FP32")]
    return [*peers, *usual, *(way.name for way in ways if way.batch), ways[0].name][0]


def _sizes(way: Way, samples: Mapping[str, Sequence[float]]) -> list[SizeSpeed]:
    pairs: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for rows, inputs in planned(way.matcher, way.encoded):
        pairs[size(inputs)] += len(rows)
        most[size(inputs)] = max(most[size(inputs)], len(rows))
    speeds = []
    for name, count in pairs.items():
        frames, words = map(int, name.split("x"))
        share, speed = count / len(way.encoded[0]), count / statistics.median(samples[name])
        speeds.append(SizeSpeed(frames, words, share, most[name], speed))
    return speeds


def encoding_rows(
    opened: Sequence[Opened], encoders: Sequence[str], samples: Samples, memory: Memory
) -> list[Encoding]:
    """A row for each candidate of a bundle whose encoders have these names: of videos, and of texts."""
    rows = []
    for each in opened:
        videos, texts = (ENCODED / statistics.median(samples[f"{each.name}: {name}"][ALL]) for name in encoders)
        pair, query = (_latency(samples.get(f"{each.name}: {what}")) for what in ("pair", "query"))
        candidate = each.candidate
        rows.append(
            Encoding(
                each.name,
                each.graphs.description,
                candidate.device,
                candidate.precision,
                videos,
                texts,
                pair,
                query,
                memory.get(each.name) if pair is None else None,
            )
        )
    return rows


def _latency(samples: Mapping[str, Sequence[float]] | None) -> Latency | None:
    if not samples:
        return None
    p50, p95 = np.percentile(samples[ALL], (50, 95)) * 1e3
    return Latency(float(p50), float(p95))
