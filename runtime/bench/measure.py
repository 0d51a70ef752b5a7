"""What is timed: matching, encoding, and the latency of an answer, the candidates in turn."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.progress import track
from jsf.runtime.backends.base import Arrays, Graph
from jsf.runtime.bench.candidates import FullSize
from jsf.runtime.bench.workload import Workload
from jsf.runtime.bundle import MATCHER
from jsf.runtime.graphs import Graphs
from jsf.runtime.matching import Encoded, batches, match

Task = Callable[[], Iterable[tuple[str, float]]]
"""Does its work once, and says what of it took how many seconds."""

BATCHES = (4, 8, 16)
"""Pairs at once that are tried at 40 x 40."""

ALL = "all"
"""The time of all batches together, with the scheduler's."""

GALLERY = 100
"""Encoded videos that a query is compared with."""

ENCODED = 32
"""Videos or texts that are encoded at once."""

SINGLE, QUERIES = 20, 5
"""Answers that are timed in a round: to one pair, and to a query over the gallery."""


def interleave(tasks: Mapping[str, Task], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Each task once a round, in turn, after a round that is not counted: what disturbs one disturbs all.

    Returns:
        Task -> what it timed -> the seconds of each time.
    """
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in tasks}
    turns = [(turn, name) for turn in range(rounds + 1) for name in tasks]
    for turn, name in track(turns, "measuring", len(turns)):
        timed = list(tasks[name]())
        for what, seconds in timed if turn else ():
            found[name][what].append(seconds)
    return found


def time_matching(matcher: Graph, encoded: tuple[Encoded, Encoded]) -> Iterator[tuple[str, float]]:
    """Matches pair p of video p and sentence p, through the scheduler: the seconds of each size, "39x9", and of all."""
    spent: dict[str, float] = defaultdict(float)
    start = last = time.perf_counter()
    for _, inputs in planned(matcher, encoded):
        matcher.run(inputs)
        now = time.perf_counter()
        spent[size(inputs)] += now - last
        last = now
    yield from spent.items()
    yield ALL, last - start


def planned(matcher: Graph, encoded: tuple[Encoded, Encoded]) -> Iterator[tuple[npt.NDArray[np.intp], Arrays]]:
    """The scheduler's batches of the pairs (0, 0), (1, 1), ..."""
    each = np.arange(len(encoded[0]))
    return batches(matcher, *encoded, each, each)


def size(inputs: Arrays) -> str:
    """The (frames, words) that a batch runs at, as "39x9"."""
    return f"{inputs['videos'].shape[1]}x{inputs['sentences'].shape[1]}"


def best_batch(matcher: Graph, encoded: tuple[Encoded, Encoded]) -> int:
    """Of `BATCHES`, the pairs at once with which a matcher is fastest at 40 x 40."""

    def seconds(batch: int) -> float:
        full = FullSize(matcher, batch)
        return min(dict(time_matching(full, encoded))[ALL] for _ in range(3))  # the first warms up

    return min(BATCHES, key=seconds)


def largest_difference(matcher: Graph, other: Graph, encoded: tuple[Encoded, Encoded]) -> float:
    """Of the scores of the same pairs, relative to the other's largest: those of random encodings hardly range."""
    each = np.arange(len(encoded[0]))
    found, expected = (match(graph, *encoded, each, each) for graph in (matcher, other))
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def time_encoding(encoder: Graph, inputs: Arrays) -> Iterator[tuple[str, float]]:
    """Encodes one batch."""
    start = time.perf_counter()
    encoder.run(inputs)
    yield ALL, time.perf_counter() - start


def time_pairs(graphs: Graphs, workload: Workload, vocabulary: int) -> Iterator[tuple[str, float]]:
    """Encodes one video and one sentence, and matches them, for sentences of the workload's lengths."""
    features, words = (draw_inputs(graphs[name], 1, vocabulary) for name in ("frame_encoder", "word_encoder"))
    features["lengths"][:] = workload.frames
    for one in singles(workload, SINGLE):
        start = time.perf_counter()
        videos = Encoded(_only(graphs["frame_encoder"].run(features)), features["lengths"], workload.left_padded)
        _match_query(graphs, videos, words, one)
        yield ALL, time.perf_counter() - start


def time_queries(graphs: Graphs, workload: Workload, vocabulary: int, gallery: Encoded) -> Iterator[tuple[str, float]]:
    """Encodes a sentence, and matches it with every video of a gallery, for sentences of the workload's lengths."""
    words = draw_inputs(graphs["word_encoder"], 1, vocabulary)
    for one in singles(workload, QUERIES):
        start = time.perf_counter()
        _match_query(graphs, gallery, words, one)
        yield ALL, time.perf_counter() - start


def _match_query(graphs: Graphs, videos: Encoded, words: Arrays, query: Workload) -> None:
    values = _only(graphs["word_encoder"].run({**words, "lengths": query.words}))
    sentence = Encoded(values, query.words, blanks=query.blanks)
    match(graphs[MATCHER], videos, sentence, np.arange(len(videos)), np.zeros(len(videos), np.intp))


def singles(workload: Workload, count: int) -> list[Workload]:
    """`count` workloads of one pair, of lengths that are distributed as the whole's."""
    some = workload.evenly(count)
    return [some.only(slice(i, i + 1)) for i in range(count)]


def draw_inputs(encoder: Graph, batch: int, vocabulary: int) -> Arrays:
    """Random inputs of an encoder: of full length, normal features, ids of words up to `vocabulary`."""
    random = np.random.default_rng(0)
    arrays: Arrays = {}
    for spec in encoder.inputs:
        shape = (batch, *(int(steps) for steps in spec.shape[1:]))
        if spec.dtype.kind == "f":
            arrays[spec.name] = random.standard_normal(shape, np.float32).astype(spec.dtype)
        elif "lengths" in spec.name:  # of the array before
            arrays[spec.name] = np.full(shape, list(arrays.values())[-1].shape[len(shape)], np.int32)
        else:
            arrays[spec.name] = random.integers(1, vocabulary, shape, np.int32, endpoint=True)
    return arrays


def _only(outputs: Arrays) -> npt.NDArray[Any]:
    return next(iter(outputs.values()))
