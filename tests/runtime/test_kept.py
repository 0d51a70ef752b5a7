"""What is kept are the rows that were made, the last used of them, and they are made once."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.runtime.kept import Kept


def row(key):
    """What belongs to a key: 4 float32 and an int32, 20 bytes."""
    return np.full(4, key, np.float32), np.int32(-key)


class Maker:
    """Makes rows, and counts how often each."""

    def __init__(self):
        self.made = []

    def rows(self, kept, keys):
        def make(places):
            self.made += [keys[place] for place in places]
            values, numbers = zip(*(row(keys[place]) for place in places), strict=True)
            return np.stack(values), np.array(numbers)

        return kept.rows(keys, make)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=8), max_size=8), st.integers(0, 200))
def test_rows_are_those_of_their_keys_and_the_last_used_are_kept(calls, most):
    kept, maker, recent = Kept(most), Maker(), []
    for keys in calls:
        maker.made.clear()
        values, numbers = maker.rows(kept, keys)
        np.testing.assert_array_equal(values, np.stack([row(key)[0] for key in keys]))
        assert numbers.tolist() == [-key for key in keys] and numbers.dtype == np.int32
        new = [key for key in dict.fromkeys(keys) if key not in recent]
        assert maker.made == new
        used = [key for key in dict.fromkeys(keys) if key in recent]
        recent = [key for key in recent if key not in used] + used + new
        recent = recent[len(recent) - min(len(recent), most // 20) :]


def test_what_a_caller_does_to_rows_changes_none_that_are_kept():
    kept, maker = Kept(), Maker()
    for _ in range(3):
        values, _ = maker.rows(kept, [3, 5])
        assert values[:, 0].tolist() == [3, 5]
        values[:] = 0
    assert maker.made == [3, 5]


def test_rows_that_cannot_be_made_are_not_kept():
    kept = Kept()
    with pytest.raises(ZeroDivisionError):
        kept.rows([1], lambda _: 1 / 0)
    assert Maker().rows(kept, [1])[0].shape == (1, 4)


def test_threads_share_what_is_kept():
    kept, maker, wrong = Kept(400), Maker(), []

    def work(seed):
        random = np.random.default_rng(seed)
        for _ in range(200):
            keys = random.integers(0, 40, 10).tolist()
            if maker.rows(kept, keys)[0][:, 0].tolist() != keys:
                wrong.append(keys)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and kept._bytes == sum(20 for _ in kept._rows) <= 400
