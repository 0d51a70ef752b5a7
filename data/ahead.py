"""Reading ahead: the next items are made in a thread while the last one is used."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

Item = TypeVar("Item")

END = object()


def ahead(items: Generator[Item, None, None], depth: int = 1) -> Iterator[Item]:
    """Yields items, of which up to `depth` are made before they are asked for, in order, by one thread (as HDF5 needs).

    What making an item raises is raised in the item's place. Whoever stops early waits for one item at most.
    """
    with closing(items):
        thread = ThreadPoolExecutor(1, "ahead")
        try:
            coming = deque(thread.submit(next, items, END) for _ in range(depth))
            while (item := coming.popleft().result()) is not END:
                coming.append(thread.submit(next, items, END))
                yield item  # type: ignore[misc]
        finally:
            thread.shutdown(cancel_futures=True)
