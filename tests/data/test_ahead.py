"""Items made ahead come in order, with the errors of making them, and no more are made than may wait."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.data.ahead import ahead
from jsf.data.errors import JsfError


def counted(count, made, closed=None):
    """The numbers below `count`, noted in `made` when they are made."""
    try:
        for number in range(count):
            made.append(number)
            yield number
    finally:
        if closed is not None:
            closed.append(True)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 20), st.integers(1, 5))
def test_all_items_come_in_order_from_one_other_thread(count, depth):
    threads = set()
    items = ((threads.add(threading.current_thread()), number)[1] for number in range(count))
    assert list(ahead(items, depth)) == list(range(count))
    assert len(threads) <= 1 and threading.current_thread() not in threads


def test_the_next_item_is_made_while_one_is_used():
    used = threading.Event()

    def items():
        yield "first"
        assert used.wait(10), "the second was asked for before the first was used"
        yield "second"

    reading = ahead(items())
    assert next(reading) == "first"
    used.set()
    assert next(reading) == "second"


@pytest.mark.parametrize("depth", [1, 3])
def test_no_more_is_made_than_may_wait(depth):
    made, closed = [], []
    reading = ahead(counted(100, made, closed), depth)
    assert [next(reading) for _ in range(4)] == [0, 1, 2, 3]
    reading.close()
    assert closed and len(made) <= 4 + depth
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_an_error_comes_in_its_items_place():
    def items():
        yield 1
        yield 2
        raise JsfError("damaged", "mend it")

    found = []
    with pytest.raises(JsfError, match="damaged"):
        found.extend(ahead(items(), 5))
    with pytest.raises(JsfError, match="damaged"):
        for item in ahead(items(), 5):
            found.append(item)
    assert found[-2:] == [1, 2]


def test_an_error_of_the_consumer_ends_the_reading():
    made, closed = [], []
    with pytest.raises(KeyboardInterrupt):
        for number in ahead(counted(100, made, closed)):
            if number == 2:
                raise KeyboardInterrupt
    assert closed and len(made) <= 4
