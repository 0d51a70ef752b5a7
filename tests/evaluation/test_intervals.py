import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.evaluation.intervals import interval, mean, median, paired_bootstrap

QUERIES, VIDEOS, CAPTIONS = 400, 40, 20


def width(bounds):
    return bounds[1] - bounds[0]


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 4)), min_size=1, max_size=9).filter(
        lambda v: any(w for _, w in v)
    )
)
def test_a_weight_counts_as_so_many_repetitions(drawn):
    values, weights = np.array([v for v, _ in drawn]), np.array([w for _, w in drawn])
    repeated = [value for value, weight in drawn for _ in range(weight)]
    rows = np.stack([weights, 2 * weights, np.ones_like(weights)]).astype(float)
    assert mean(values, rows).tolist() == pytest.approx([np.mean(repeated), np.mean(repeated), np.mean(values)])
    assert median(values, rows).tolist() == [np.median(repeated), np.median(repeated + repeated), np.median(values)]


def test_the_interval_agrees_with_a_plain_loop():
    generator = np.random.default_rng(7)
    values = generator.exponential(size=60)
    for statistic, plain in ((mean, np.mean), (median, np.median)):
        resampled = sorted(plain(generator.choice(values, 60)) for _ in range(4000))
        low, high = interval(values, statistic=statistic)
        assert low < plain(values) < high
        assert low == pytest.approx(resampled[100], abs=0.05)
        assert high == pytest.approx(resampled[3900], abs=0.05)


def test_the_interval_of_whole_videos_agrees_with_a_plain_loop():
    generator = np.random.default_rng(8)
    sizes = generator.integers(1, 9, 30)
    groups = np.repeat([f"video{i}" for i in range(30)], sizes)
    values = np.repeat(generator.normal(size=30), sizes) + 0.3 * generator.normal(size=len(groups))
    by_video = [values[groups == name] for name in np.unique(groups)]
    resampled = sorted(
        np.mean(np.concatenate([by_video[i] for i in generator.integers(30, size=30)])) for _ in range(4000)
    )
    low, high = interval(values, groups)
    assert low == pytest.approx(resampled[100], abs=0.04)
    assert high == pytest.approx(resampled[3900], abs=0.04)


def test_the_interval_is_the_same_each_time_and_in_any_order_of_equal_groups():
    values = np.random.default_rng(0).normal(size=50)
    assert interval(values) == interval(values) == interval(values, range(50))
    assert interval(values, [f"{i:02d}" for i in range(50)]) == interval(values)


def test_the_normal_approximation():
    values = np.random.default_rng(3).normal(5.0, 2.0, QUERIES)
    low, high = interval(values)
    half = 1.96 * values.std() / np.sqrt(QUERIES)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_95_of_100_intervals_hold_the_true_share():
    generator, share = np.random.default_rng(4), 0.3
    bounds = [interval(generator.random(150) < share) for _ in range(300)]
    covered = np.mean([low <= share <= high for low, high in bounds])
    assert 0.90 <= covered <= 0.985


def test_equal_values_have_an_interval_of_no_width():
    assert interval(np.full(9, 100.0)) == interval(np.full(9, 100.0), statistic=median) == (100.0, 100.0)
    assert interval(np.array([3.0])) == (3.0, 3.0)


@pytest.mark.parametrize("statistic", [mean, median])
def test_repeated_captions_say_no_more_than_one(statistic):
    values = np.random.default_rng(5).normal(size=VIDEOS)
    videos = np.repeat(np.arange(VIDEOS), CAPTIONS)
    alone = interval(values, statistic=statistic)
    assert interval(values[videos], videos, statistic) == pytest.approx(alone)
    assert width(interval(values[videos], statistic=statistic)) < 0.5 * width(alone)


def test_many_queries_take_little_memory():
    values = np.random.default_rng(6).random(20_000) < 0.5
    tracemalloc.start()
    low, high = interval(values)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32e6  # all 2,000 resamples at once take 320 MB
    assert low < 0.5 < high
    assert width((low, high)) == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(20_000), rel=0.1)


def systems(gain, seed):
    """Two systems on the same queries, the first better by `gain` on average, each moved by how hard a query is."""
    generator = np.random.default_rng(seed)
    hardness = generator.random(QUERIES)
    return (hardness + 0.1 * generator.random((2, QUERIES)) < np.array([[0.5 + gain], [0.5]])).astype(float)


def test_a_planted_difference_is_found():
    a, b = systems(0.08, seed=1)
    found = paired_bootstrap(a, b)
    assert found.difference == pytest.approx(a.mean() - b.mean())
    assert 0 < found.interval[0] < found.difference < found.interval[1]
    assert found.not_above < 0.01
    assert width(found.interval) < 0.8 * width(interval(a))  # pairing removes how hard the queries are
    turned = paired_bootstrap(b, a)
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))
    assert turned.not_above > 0.99


def test_a_system_is_not_above_itself():
    a, _ = systems(0.0, seed=2)
    found = paired_bootstrap(a, a)
    assert (found.difference, found.interval, found.not_above) == (0.0, (0.0, 0.0), 1.0)


def test_equal_systems_seldom_differ():
    found = [paired_bootstrap(*systems(0.0, seed)) for seed in range(100)]
    assert np.mean([low <= 0 <= high for low, high in (each.interval for each in found)]) >= 0.88
    assert 0.3 < np.mean([each.not_above for each in found]) < 0.7
    assert np.mean([each.not_above < 0.05 for each in found]) <= 0.12


def test_captions_of_one_video_are_no_independent_evidence():
    a, b = systems(0.2, seed=11)[:, :VIDEOS]
    videos = np.repeat(np.arange(VIDEOS), CAPTIONS)
    alone = paired_bootstrap(a, b)
    grouped = paired_bootstrap(a[videos], b[videos], videos)
    assert grouped.interval == pytest.approx(alone.interval)
    assert width(paired_bootstrap(a[videos], b[videos]).interval) < 0.5 * width(grouped.interval)


def test_right_and_wrong_can_be_booleans():
    a, b = systems(0.08, seed=1)
    assert paired_bootstrap(a > 0, b > 0) == paired_bootstrap(a, b)


def test_systems_on_different_queries_are_refused():
    with pytest.raises(JsfError, match="400 and 399 queries"):
        paired_bootstrap(np.zeros(400), np.zeros(399))
