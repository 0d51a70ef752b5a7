import numpy as np
import pytest

from jsf.data.lengths import FRAME_BUCKETS, LEFT_FRAME_BUCKETS, WORD_BUCKETS, crop_length, needed_steps


@pytest.mark.parametrize(("lengths", "steps"), [([1], 7), ([7, 3], 7), ([3, 8], 8), ([40, 1], 40)])
def test_a_batch_needs_its_longest_length_and_at_least_seven(lengths: list[int], steps: int) -> None:
    assert crop_length(np.array(lengths, np.int32)) == steps


def test_the_last_step_of_an_even_length_is_not_needed() -> None:
    lengths = np.array([1, 7, 8, 9, 10, 39, 40])
    assert needed_steps(lengths).tolist() == [7, 7, 7, 9, 9, 39, 39]
    assert needed_steps(lengths, left_padded=True).tolist() == [8, 8, 8, 10, 10, 40, 40]


@pytest.mark.parametrize(
    ("left_padded", "buckets"), [(False, FRAME_BUCKETS), (True, LEFT_FRAME_BUCKETS), (False, WORD_BUCKETS)]
)
def test_the_buckets_hold_every_length(left_padded: bool, buckets: tuple[int, ...]) -> None:
    assert max(needed_steps(np.arange(1, 41), left_padded)) <= max(buckets)
    assert list(buckets) == sorted(set(buckets))
    assert not left_padded or all(size % 2 == 0 for size in buckets)
