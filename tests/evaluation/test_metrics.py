import json
from dataclasses import asdict
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.evaluation.intervals import interval, median
from jsf.evaluation.metrics import Ranking, chance, credit, ranking, ranks


def relevance(*rows):
    return np.array(rows, bool)


@pytest.mark.parametrize(
    ("scores", "relevant", "rank"),
    [
        ([3, 2, 1], [1, 0, 0], 1),
        ([3, 2, 1], [0, 0, 1], 3),
        ([-3, -2, -1], [0, 1, 0], 2),
        ([5, 5, 1], [1, 0, 0], 1.5),  # a tie is shared: ranks 1 and 2
        ([9, 5, 5, 5], [0, 0, 1, 0], 3),  # ranks 2, 3 and 4
        ([3, 2, 1, 0], [0, 1, 0, 1], 2),  # the best true item counts
        ([3, 2, 2, 0], [0, 1, 1, 0], 2),  # two true items that tie do not compete
        ([4, 4, 4, 0], [0, 1, 1, 0], 1.5),
        ([1], [1], 1),
        ([-np.inf, 0, -np.inf], [1, 0, 0], 2.5),
        ([np.nan, 2, 1], [1, 0, 0], 3),  # a model that breaks is never rewarded
        ([3, np.nan, 1], [1, 0, 0], 2),
        ([np.nan, np.nan, np.nan], [0, 1, 0], 3),
    ],
)
def test_rank(scores, relevant, rank):
    assert ranks(np.array([scores], np.float32), relevance(relevant)).tolist() == [rank]


@pytest.mark.parametrize("gallery", [1, 2, 7, 10])
def test_constant_scores_give_the_mean_rank(gallery):
    found = ranks(np.zeros((gallery, gallery), np.float32), np.eye(gallery, dtype=bool))
    assert found.tolist() == [(gallery + 1) / 2] * gallery


@st.composite
def score_matrices(draw):
    """Scores with many ties, and at least one true item a query."""
    queries, gallery = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    scores = draw(st.lists(st.integers(-2, 2), min_size=queries * gallery, max_size=queries * gallery))
    row = st.lists(st.booleans(), min_size=gallery, max_size=gallery).filter(any)
    relevant = draw(st.lists(row, min_size=queries, max_size=queries))
    return np.array(scores, np.float32).reshape(queries, gallery), np.array(relevant)


@given(score_matrices())
def test_ranks_agree_with_sorting(matrices):
    """The best true item sorted first and last among its equals: its rank is the mean of both."""
    scores, relevant = matrices
    for found, row, true in zip(ranks(scores, relevant), scores, relevant, strict=True):
        best = row[true].max()
        candidates = [(score, "wrong") for score, is_true in zip(row, true, strict=True) if not is_true]
        first = sorted([*candidates, (best, "true")], key=lambda item: (-item[0], item[1] == "wrong"))
        last = sorted([*candidates, (best, "true")], key=lambda item: (-item[0], item[1] == "true"))
        positions = [1 + order.index((best, "true")) for order in (first, last)]
        assert found == np.mean(positions)


def test_ranking_by_hand():
    scores = np.tile(np.arange(12, 0, -1, dtype=np.float32), (4, 1))  # item 0 first, item 11 last
    relevant = np.zeros((4, 12), bool)
    relevant[[0, 1, 2, 3], [0, 4, 5, 11]] = True  # ranks 1, 5, 6 and 12
    rank = np.array([1, 5, 6, 12])
    assert ranking(scores, relevant) == Ranking(
        queries=4,
        gallery=12,
        recall={1: 25.0, 5: 50.0, 10: 75.0},
        median_rank=5.5,
        mean_rank=6.0,
        interval={
            "R@1": interval(np.array([100.0, 0, 0, 0])),
            "R@5": interval(np.array([100.0, 100, 0, 0])),
            "R@10": interval(np.array([100.0, 100, 100, 0])),
            "MedR": interval(rank, statistic=median),
            "MeanR": interval(rank),
        },
    )


def test_captions_of_one_video_widen_the_interval():
    generator = np.random.default_rng(0)
    videos = np.repeat(np.arange(50), 20)  # 20 captions that score the same
    relevant = np.eye(60, dtype=bool)[videos]
    true = generator.uniform(-0.3, 1.3, (50, 1))  # among scores from 0 to 1: some first, some last
    scores = np.where(np.eye(50, 60, dtype=bool), true, generator.random((50, 60)))[videos]
    alone, together = ranking(scores, relevant), ranking(scores, relevant, groups=videos)
    assert (alone.recall, alone.median_rank) == (together.recall, together.median_rank)
    for name, (low, high) in together.interval.items():
        assert high - low > 2 * (alone.interval[name][1] - alone.interval[name][0]) > 0, name
    assert list(together.interval) == ["R@1", "R@5", "R@10", "R@50", "MedR", "MeanR"]


def test_a_ranking_is_json():
    found = ranking(np.array([[1.0, 0.0], [1.0, 0.0]], np.float32), np.eye(2, dtype=bool))
    value = json.loads(json.dumps(asdict(found)))
    assert value["recall"] == {"1": 50.0}
    assert value["interval"]["R@1"] == [0.0, 100.0]


def test_chance_is_what_random_scores_reach_on_average():
    queries, gallery = 5_000, 60
    relevant = np.zeros((queries, gallery), bool)
    relevant[:, 17] = True
    found = ranking(np.random.default_rng(0).random((queries, gallery)), relevant)
    expected = chance(queries, gallery)
    assert (expected.queries, expected.gallery, expected.interval) == (queries, gallery, {})
    assert list(expected.recall) == list(found.recall) == [1, 5, 10, 50]
    for k, percentage in expected.recall.items():
        assert found.recall[k] == pytest.approx(percentage, abs=1.5)
    assert found.mean_rank == pytest.approx(expected.mean_rank, rel=0.02)
    assert found.median_rank == pytest.approx(expected.median_rank, rel=0.03)


@pytest.mark.parametrize(
    ("scores", "answer", "k", "expected"),
    [
        ([3, 2, 1], 0, 1, 1),
        ([3, 2, 1], 1, 1, 0),
        ([3, 2, 1], 1, 2, 1),
        ([3, 3, 1], 0, 1, 1 / 2),
        ([0, 0, 0, 0, 0], 3, 1, 1 / 5),
        ([9, 5, 5, 5], 2, 1, 0),
        ([9, 5, 5, 5], 2, 3, 2 / 3),  # two of the three that tie are in
        ([1, 2], 0, 5, 1),  # fewer options than k
        ([-np.inf, -np.inf], 0, 1, 1 / 2),
        ([np.nan, 2, 1], 0, 1, 0),  # a model that breaks is never rewarded
        ([2, np.nan, 1], 0, 1, 0),
        ([2, np.nan, 1], 0, 2, 1),
        ([np.nan, np.nan, np.nan], 1, 1, 0),
    ],
)
def test_credit(scores, answer, k, expected):
    assert credit(np.array(scores, np.float32), answer, k) == pytest.approx(expected)


@given(st.lists(st.integers(-1, 1), min_size=2, max_size=5), st.data())
def test_credit_is_the_mean_over_all_orders_of_equal_options(scores, data):
    answer = data.draw(st.integers(0, len(scores) - 1))
    k = data.draw(st.integers(1, 5))
    # Python's sort is stable: options that score the same stay in the order that they were given in.
    orders = [sorted(order, key=lambda option: -scores[option]) for order in permutations(range(len(scores)))]
    expected = np.mean([answer in order[:k] for order in orders])
    assert credit(np.array(scores, np.float32), answer, k) == pytest.approx(expected)
