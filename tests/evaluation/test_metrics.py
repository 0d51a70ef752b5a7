import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.evaluation.metrics import Ranking, chance, ranking, ranks


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
    assert ranking(scores, relevant) == Ranking(
        queries=4, gallery=12, recall={1: 25.0, 5: 50.0, 10: 75.0}, median_rank=5.5, mean_rank=6.0
    )


def test_chance_is_what_random_scores_reach_on_average():
    queries, gallery = 20_000, 60
    relevant = np.zeros((queries, gallery), bool)
    relevant[:, 17] = True
    found = ranking(np.random.default_rng(0).random((queries, gallery)), relevant)
    expected = chance(queries, gallery)
    assert (expected.queries, expected.gallery) == (queries, gallery)
    assert list(expected.recall) == list(found.recall) == [1, 5, 10, 50]
    for k, percentage in expected.recall.items():
        assert found.recall[k] == pytest.approx(percentage, abs=1.5)
    assert found.mean_rank == pytest.approx(expected.mean_rank, rel=0.02)
    assert found.median_rank == pytest.approx(expected.median_rank, rel=0.03)
