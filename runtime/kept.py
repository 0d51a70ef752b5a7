"""What was encoded in this process is kept, so that it is not encoded again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

BYTES = 256 << 20
"""Size of what is kept: 3,200 encoded videos of 40 x 512 float32."""

Arrays: TypeAlias = tuple[npt.NDArray[Any], ...]
"""[B, ...] each."""


class Kept:
    """Rows of arrays by key, the last used of them, for any number of threads.

    Args:
        most: of the rows' bytes.
    """

    def __init__(self, most: int = BYTES) -> None:
        self._most, self._bytes = most, 0
        self._rows: OrderedDict[Hashable, Arrays] = OrderedDict()
        self._lock = Lock()

    def rows(self, keys: Sequence[Hashable], make: Callable[[list[int]], Arrays]) -> Arrays:
        """The rows that belong to keys, as arrays [B, ...]; those that are not kept are made, each distinct one once.

        Args:
            keys: [B]; equal keys have equal rows.
            make: places in `keys` -> the arrays of those rows.
        """
        found = self._found(keys)
        missing: dict[Hashable, int] = {}
        for place, key in enumerate(keys):
            if key not in found:
                missing.setdefault(key, place)
        if missing or not keys:
            made = make(list(missing.values()))
            rows = dict(zip(missing, zip(*made, strict=True), strict=True))
            self._keep(rows)
            if len(missing) == len(keys):
                return made
            found |= rows
        return tuple(np.stack(parts) for parts in zip(*(found[key] for key in keys), strict=True))

    def _found(self, keys: Sequence[Hashable]) -> dict[Hashable, Arrays]:
        with self._lock:
            found = {key: self._rows[key] for key in keys if key in self._rows}
            for key in found:
                self._rows.move_to_end(key)
        return found

    def _keep(self, rows: dict[Hashable, Arrays]) -> None:
        with self._lock:
            for key, row in rows.items():
                if key not in self._rows:  # another thread may have made it too
                    self._rows[key] = tuple(map(np.array, row))  # a copy: a view would hold its whole batch
                    self._bytes += _size(row)
                while self._bytes > self._most:
                    self._bytes -= _size(self._rows.popitem(last=False)[1])


def _size(row: Arrays) -> int:
    return sum(part.nbytes for part in row)
