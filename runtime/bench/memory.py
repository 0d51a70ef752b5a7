"""How much memory a candidate needs, each measured in a process of its own: the peak of a process never goes down."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.runtime.bench.candidates import Candidate, FullSize, Opened
from jsf.runtime.bench.measure import ENCODED, draw_inputs, time_matching
from jsf.runtime.bench.ways import Way
from jsf.runtime.bench.workload import Workload
from jsf.runtime.bundle import MATCHER
from jsf.runtime.matching import Encoded

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")

Pairs = Callable[[], tuple[Encoded, Encoded]]


def measure_memory(
    ways: Sequence[Way], opened: Sequence[Opened], workload: Workload, vocabulary: int
) -> dict[str, int | None]:
    """Bytes that loading the graphs and matching pairs takes at most, above those pairs, for each way.

    What a backend loads of its own code is in it. Where there is no way, of an embedding, each candidate encodes a
    batch of videos and of texts. None where not on Linux.

    Raises:
        JsfError: a process was killed, or what it runs failed.
    """
    asked: dict[str, tuple[Candidate, Pairs | None, int | None]] = {}
    for way in ways:
        videos, pairs = way.matcher.inputs[0], workload.evenly(len(way.encoded[0]))
        encode = partial(pairs.encoded, int(videos.shape[2]), videos.dtype)
        asked[way.name] = way.opened.candidate, encode, way.batch
    if not ways:
        asked = {each.name: (each.candidate, None, None) for each in opened}
    measured = track(asked.items(), "measuring memory", len(asked))
    return {name: _in_a_process(*what, vocabulary) for name, what in measured}


def _in_a_process(candidate: Candidate, pairs: Pairs | None, batch: int | None, vocabulary: int) -> int | None:
    if not STATUS.is_file():
        return None
    # A fresh interpreter: a fork would begin with this process's memory.
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        try:
            return process.submit(_growth, candidate, pairs, batch, vocabulary).result()
        except BrokenProcessPool as error:
            raise JsfError(
                f"the process that measured the memory of {candidate.name} was killed: too little memory?",
                "Name fewer backends, with --device and --precision.",
            ) from error


def _growth(candidate: Candidate, pairs: Pairs | None, batch: int | None, vocabulary: int) -> int:
    encoded = pairs() if pairs else None
    RESET.write_text("5")  # the peak was that of drawing the pairs
    before = _resident("VmRSS")
    graphs = candidate.open()
    if encoded:
        matcher = graphs[MATCHER]
        list(time_matching(FullSize(matcher, batch) if batch else matcher, encoded))
    else:
        for encoder in graphs.by_name.values():
            encoder.run(draw_inputs(encoder, ENCODED, vocabulary))
    return _resident("VmHWM") - before


def _resident(field: str) -> int:
    """Bytes of this process in memory: now (VmRSS), or at most (VmHWM)."""
    return next(int(line.split()[1]) << 10 for line in STATUS.read_text().splitlines() if line.startswith(field))
