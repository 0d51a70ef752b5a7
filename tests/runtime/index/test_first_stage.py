"""The first stage finds what sorting all cosines finds, in blocks of any size."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.runtime.index import first_stage
from jsf.runtime.index.first_stage import nearest, ranks


def unit(random, count, width):
    vectors = random.standard_normal((count, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 60), st.integers(1, 7), st.integers(1, 80), st.integers(0, 1000), st.sampled_from([1, 900, 1 << 26])
)
def test_the_nearest_are_those_that_sorting_finds(videos, queries, count, seed, block):
    random = np.random.default_rng(seed)
    gallery, asked = unit(random, videos, 5), unit(random, queries, 5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(first_stage, "BLOCK_BYTES", block)
        rows, cosines = nearest(gallery, asked, count)
        found = ranks(gallery, asked, rows[:, -1])
    scores = asked @ gallery.T
    np.testing.assert_allclose(cosines, -np.sort(-scores, axis=1)[:, :count], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(scores, rows, 1), cosines, atol=1e-6)
    assert all(len(set(row)) == min(count, videos) for row in rows)
    assert (found == min(count, videos)).all()


def test_of_equals_the_first_stands_first_and_ranks_are_cautious():
    gallery = np.eye(4, dtype=np.float32)[[0, 1, 1, 1]]
    rows, cosines = nearest(gallery, gallery[1:2], 3)
    assert rows.tolist() == [[1, 2, 3]] and cosines.tolist() == [[1, 1, 1]]
    assert ranks(gallery, gallery[[1, 1, 0]], np.array([1, 3, 0])).tolist() == [3, 3, 1]
