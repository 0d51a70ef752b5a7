import numpy as np
import pytest

from jsf.data.lengths import crop_length


@pytest.mark.parametrize(("lengths", "steps"), [([1], 7), ([7, 3], 7), ([3, 8], 8), ([40, 1], 40)])
def test_a_batch_needs_its_longest_length_and_at_least_seven(lengths: list[int], steps: int) -> None:
    assert crop_length(np.array(lengths, np.int32)) == steps
