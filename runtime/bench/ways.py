"""The ways that a workload is matched: in buckets and at 40 x 40, by each candidate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import MAX_STEPS
from jsf.runtime.backends.base import Graph
from jsf.runtime.bench.candidates import FullSize, Opened
from jsf.runtime.bench.measure import best_batch, largest_difference
from jsf.runtime.bench.workload import Workload
from jsf.runtime.matching import Encoded

TRIED, FULL, COMPARED = 16, 32, 64
"""Pairs on which a batch is chosen, that are timed at 40 x 40, where all cost the same, and whose scores are compared.

All are multiples of the batches that are tried: a compiled peer is compiled for one size alone.
"""

ANOTHER_MODEL = 1e-2
"""Of the largest score: a peer that differs more does not run the same weights."""


@dataclass(frozen=True)
class Way:
    """A matcher as it is run.

    Attributes:
        opened: the candidate; matcher: its own, or at 40 x 40 alone.
        encoded: the pairs that are timed.
        batch: pairs at once at 40 x 40; None in buckets.
        difference: as in `Matching`.
    """

    opened: Opened
    matcher: Graph
    encoded: tuple[Encoded, Encoded]
    batch: int | None
    difference: float | None = None

    @property
    def name(self) -> str:
        """The candidate's, with "40x40" where all pairs run at that."""
        return full_name(self.opened.name) if self.batch else self.opened.name


def full_name(name: str) -> str:
    """What a candidate at 40 x 40 is called."""
    return f"{name} {MAX_STEPS}x{MAX_STEPS}"


class AnotherModelError(JsfError):
    """A peer scores otherwise than the bundle."""


def find_ways(opened: Sequence[Opened], workload: Workload) -> tuple[list[Way], dict[str, str]]:
    """The ways to run the candidates, those of the bundle before the peers, each with its best batch.

    Returns:
        The ways; and for the peers that do not run their name and why: no compiler, for example.

    Raises:
        JsfError: a peer has another model than the bundle, or a candidate of the bundle fails.
    """
    ways: list[Way] = []
    failed = {}
    bundled = next((each for each in opened if each.candidate.precision == "fp32" and not each.candidate.peer), None)
    for each in track(opened, "choosing batches", len(opened)):
        try:
            ways += [_peer(each, bundled, workload)] if each.candidate.peer else _both(each, workload)
        except JsfError as error:
            if not each.candidate.peer or isinstance(error, AnotherModelError):
                raise
            failed[each.name] = error.line
    return ways, failed


def _both(opened: Opened, workload: Workload) -> list[Way]:
    """In buckets and at 40 x 40, where the backend runs at that."""
    matcher, pairs = _matcher(opened), partial(_pairs, opened, workload)
    if matcher.buckets and (MAX_STEPS, MAX_STEPS) not in matcher.buckets:
        return [Way(opened, matcher, pairs(len(workload)), None)]
    batch = best_batch(matcher, pairs(TRIED))
    full = FullSize(matcher, batch)
    if not matcher.symbolic:  # LSTM-fusion, which has one size
        return [Way(opened, full, pairs(FULL), batch)]
    exact = opened.candidate.precision == "fp32"
    difference = largest_difference(matcher, full, pairs(COMPARED)) if exact else None
    return [Way(opened, matcher, pairs(len(workload)), None, difference), Way(opened, full, pairs(FULL), batch)]


def _peer(opened: Opened, bundled: Opened | None, workload: Workload) -> Way:
    """At 40 x 40, compared with the bundle's own matcher in FP32."""
    if bundled is None:
        raise AnotherModelError(
            f"{opened.name} is compared with the bundle's FP32 scores, and FP32 is left out.",
            "Add --precision fp32, or leave out --ckpt.",
        )
    peer, other = _matcher(opened), _matcher(bundled)
    another = f"{opened.name} runs another model than the bundle's"
    fix = "Name the checkpoint that the bundle was exported from: --ckpt RUN/best.pt"
    found, expected = ((len(graph.inputs), graph.inputs[0].shape[2]) for graph in (peer, other))
    if found != expected:
        what = "it takes {} arrays and videos {} wide, expected {} and {}.".format(*found, *expected)
        raise AnotherModelError(f"{another}: {what}", fix)
    batch = best_batch(peer, _pairs(opened, workload, TRIED))
    full, compared = FullSize(peer, batch), _pairs(opened, workload, COMPARED)
    difference = largest_difference(full, FullSize(other, batch), compared)
    if not difference < ANOTHER_MODEL:
        raise AnotherModelError(f"{another}: their scores differ by {difference:.1%} of the largest.", fix)
    return Way(opened, full, _pairs(opened, workload, FULL), batch, difference)


def _matcher(opened: Opened) -> Graph:
    assert opened.matcher
    return opened.matcher


def _pairs(opened: Opened, workload: Workload, count: int) -> tuple[Encoded, Encoded]:
    videos = _matcher(opened).inputs[0]
    return workload.evenly(count).encoded(int(videos.shape[2]), videos.dtype)
