"""What a run of `jsf bench` found, as it is written to JSON."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SizeSpeed:
    """One size that pairs ran at.

    Attributes:
        frames, words: the size.
        share: of the pairs.
        batch: most pairs at once.
        pairs_per_second: the median of the rounds.
    """

    frames: int
    words: int
    share: float
    batch: int
    pairs_per_second: float


@dataclass(frozen=True)
class Matching:
    """How fast a candidate matches encoded pairs.

    Attributes:
        name: "ONNX Runtime FP32", or "ONNX Runtime FP32 40x40" where every pair runs at 40 x 40.
        backend: what runs where; device, precision: as asked.
        buckets: each pair runs at the smallest size that keeps its score.
        pairs_per_second: the median of the rounds.
        ratio: of that to the baseline's.
        floor: share of its time that the arithmetic of the pairs' buckets takes at the fastest rate; None where no rate
            of this type was measured.
        sizes: each that pairs ran at.
        difference: largest difference of its scores from those at 40 x 40, over the largest of those: for FP32 alone.
        memory_bytes: at most, above the encoded pairs; None where it cannot be measured.
    """

    name: str
    backend: str
    device: str
    precision: str
    buckets: bool
    pairs_per_second: float
    ratio: float
    floor: float | None
    sizes: list[SizeSpeed]
    difference: float | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Latency:
    """Milliseconds of an answer: the median, and what 95 of 100 answers take at most."""

    p50_ms: float
    p95_ms: float


@dataclass(frozen=True)
class Encoding:
    """How fast a candidate encodes, and answers.

    Attributes:
        name: the candidate; backend: what runs where; device, precision: as asked.
        videos_per_second, texts_per_second: 32 at once, the median of the rounds.
        pair: one video and one sentence, encoded and matched; query: a sentence, encoded and matched with 100 encoded
            videos; both None of an embedding.
        memory_bytes: of an embedding, as in `Matching`.
    """

    name: str
    backend: str
    device: str
    precision: str
    videos_per_second: float
    texts_per_second: float
    pair: Latency | None
    query: Latency | None
    memory_bytes: int | None


@dataclass(frozen=True)
class Floor:
    """The arithmetic's floor.

    Attributes:
        operations: of a pair in the mean of the workload's buckets, a multiply and an add each.
        full_operations: of a pair at 40 x 40.
        rates: type -> backend -> operations a second of a large product, the fastest of the rounds.
    """

    operations: float
    full_operations: float
    rates: dict[str, dict[str, float]]

    def seconds(self, precision: str) -> float | None:
        """The least that a pair takes; None where no rate of this type was measured."""
        rates = self.rates.get(precision)
        return self.operations / max(rates.values()) if rates else None


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        date: UTC, ISO 8601; machine: processor, cores, load, versions.
        bundle: folder, model, task, preset, width, SHA-256 of its fp32 graphs.
        workload: source of the sentences' lengths, pairs, frames, and words -> share of the pairs.
        rounds: of which medians are taken.
        baseline: the name that ratios refer to; None of an embedding.
        matching, encoding: a row for each way to run.
        floor: None of an embedding, or where `onnx` is not installed.
        absent: what is not here, and why.
    """

    date: str
    machine: dict[str, Any]
    bundle: dict[str, Any]
    workload: dict[str, Any] | None
    rounds: int
    baseline: str | None
    matching: list[Matching]
    encoding: list[Encoding]
    floor: Floor | None
    absent: dict[str, str]
