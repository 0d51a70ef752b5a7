import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from jsf.calibration.histogram import CUT, HALF, METHODS, Histogram, entropy, minmax, percentile
from jsf.data.errors import JsfError

finite = st.floats(-1e6, 1e6, width=32)
batch = arrays(np.float32, st.integers(1, 30), elements=finite)


def histogram_of(*batches):
    histogram = Histogram()
    for values in batches:
        histogram.add(np.asarray(values, np.float32))
    return histogram


@given(st.lists(batch, min_size=1, max_size=6))
def test_no_value_is_lost_whatever_comes_when(batches):
    histogram = histogram_of(*batches)
    values = np.concatenate(batches)
    assert histogram.counts.sum() == len(values)
    assert minmax(histogram) == (values.min(), values.max())
    assert histogram.reach >= np.abs(values).max() or not values.any()


@given(st.lists(batch, min_size=1, max_size=6))
def test_counts_lie_where_the_values_do_after_the_reach_has_doubled(batches):
    histogram = histogram_of(*batches)
    values = np.concatenate(batches)
    edges = np.linspace(-histogram.reach, histogram.reach, 2 * HALF + 1)
    width = histogram.reach / HALF
    for low, high in zip(edges[:-1:97], edges[97::97], strict=False):
        inside = histogram.counts[np.searchsorted(edges, low) : np.searchsorted(edges, high)].sum()
        assert ((values > low + width) & (values < high - width)).sum() <= inside
        assert inside <= ((values >= low - width) & (values <= high + width)).sum()


@given(st.lists(batch, min_size=1, max_size=4), st.sampled_from(sorted(METHODS)))
def test_every_range_lies_within_the_values_and_is_one(batches, method):
    low, high = METHODS[method](histogram_of(*batches))
    values = np.concatenate(batches)
    assert values.min() <= low <= high <= values.max()


def test_a_percentile_gives_up_as_many_values_as_it_says():
    values = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
    low, high = percentile(histogram_of(*np.split(values, 10)))
    outside = ((values < low) | (values > high)).mean()
    assert CUT / 2 < outside <= CUT
    assert -low == pytest.approx(high, rel=0.05)


def test_the_entropy_clips_a_lone_outlier_and_keeps_a_uniform_distribution():
    random = np.random.default_rng(0)
    bell = np.append(random.standard_normal(100_000), 40.0)
    low, high = entropy(histogram_of(bell))
    assert 2.5 < high < 20
    assert low == pytest.approx(bell.min(), abs=0.1)
    assert entropy(histogram_of(random.uniform(-1, 1, 100_000)))[1] > 0.95


def test_the_entropy_takes_no_range_for_the_zeros_of_padding():
    values = np.random.default_rng(0).standard_normal(50_000)
    with_padding = np.concatenate([values, np.zeros(1_000_000)])
    assert entropy(histogram_of(with_padding))[1] == pytest.approx(entropy(histogram_of(values))[1], rel=0.1)


@pytest.mark.parametrize("method", METHODS)
def test_zeros_alone_have_a_range(method):
    assert METHODS[method](histogram_of(np.zeros(7), np.zeros(3))) == (0.0, 0.0)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(broken):
    with pytest.raises(JsfError, match="NaN or infinity in FP32"):
        histogram_of([1.0, broken])
