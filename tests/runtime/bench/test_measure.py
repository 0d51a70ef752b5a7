"""Timing: in turn, the first round uncounted; every pair once; inputs that encoders take."""

import numpy as np
import pytest

from jsf.runtime.bench import measure
from jsf.runtime.bench.measure import (
    ALL,
    best_batch,
    draw_inputs,
    interleave,
    largest_difference,
    singles,
    time_matching,
)
from jsf.runtime.bench.workload import Workload
from jsf.runtime.bundle import Bundle
from jsf.runtime.graphs import load_graphs
from jsf.runtime.matching import match


@pytest.fixture
def graphs(tiny_bundle):
    return load_graphs(Bundle.open(tiny_bundle), "cpu")


@pytest.fixture
def pairs():
    return Workload("", 40, np.array([3] * 10 + [9] * 5 + [20], np.int32)).encoded(8, np.dtype(np.float32))


def test_tasks_take_turns_and_the_first_round_is_not_counted():
    order = []

    def task(name):
        def work():
            order.append(name)
            yield ALL, float(len(order))

        return work

    found = interleave({"a": task("a"), "b": task("b")}, rounds=2)
    assert order == ["a", "b"] * 3
    assert found == {"a": {ALL: [3.0, 5.0]}, "b": {ALL: [4.0, 6.0]}}


def test_matching_is_timed_by_size(graphs, pairs):
    times = dict(time_matching(graphs["matcher.buckets"], pairs))
    assert set(times) == {"39x7", "39x9", "39x19", ALL}  # of 20 words the last is not read
    assert sum(times.values()) == pytest.approx(2 * times[ALL], rel=0.1)


def test_the_batch_is_the_fastest(graphs, pairs, monkeypatch):
    def simulated(matcher, encoded):
        yield ALL, {4: 3.0, 8: 1.0, 16: 2.0}[matcher.limits["P"]]

    monkeypatch.setattr(measure, "time_matching", simulated)
    assert best_batch(graphs["matcher.buckets"], pairs) == 8


def test_a_difference_is_relative_to_the_largest_score(graphs, pairs):
    class Shifted(type(graphs["matcher.buckets"])):
        def __init__(self, other):
            self.__dict__ = dict(other.__dict__)

        def _run(self, arrays):
            scores = super()._run(arrays)["scores"]
            return {"scores": scores + (arrays["sentence_lengths"] == 20)[arrays["sentence_index"]] * 0.5}

    matcher = graphs["matcher.buckets"]
    each = np.arange(16)
    scores = match(matcher, *pairs, each, each)
    assert largest_difference(Shifted(matcher), matcher, pairs) == pytest.approx(0.5 / np.abs(scores).max(), rel=1e-3)
    assert largest_difference(matcher, matcher, pairs) == 0


@pytest.mark.parametrize("name", ["frame_encoder", "word_encoder"])
def test_encoders_take_what_is_drawn(graphs, name):
    inputs = draw_inputs(graphs[name], 3, 8)
    assert inputs["lengths"].tolist() == [40] * 3
    assert next(iter(graphs[name].run(inputs).values())).shape == (3, 40, 8)
    if name == "word_encoder":
        assert set(np.unique(inputs["words"])) == set(range(1, 9))


def test_single_queries_have_the_lengths_of_all():
    found = singles(Workload("", 40, np.array([3, 3, 9, 12], np.int32)), 4)
    assert [one.words.tolist() for one in found] == [[3], [3], [9], [12]]
