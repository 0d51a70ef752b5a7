"""A split of a data set: its rows and the features of their videos."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from jsf.data.errors import JsfError
from jsf.data.store import FeatureStore
from jsf.data.tables import Row

Kind = TypeVar("Kind", bound=Row)


@dataclass(frozen=True)
class Split:
    """Rows of one kind, and the store that has the features of their videos."""

    store: FeatureStore
    rows: Sequence[Row]

    @property
    def video_ids(self) -> list[str]:
        """The distinct video ids, in order of first appearance."""
        return list(dict.fromkeys(row.video_id for row in self.rows))


def hold_out(rows: Sequence[Kind], share: float = 0.1, most: int = 500, seed: int = 0) -> tuple[list[Kind], list[Kind]]:
    """Splits rows by video into (train, val): a `share` of the videos, at least one and at most `most`, is val.

    Which videos depends on the seed and on the set of ids, not on their order.

    Raises:
        JsfError: there are fewer than two videos.
    """
    videos = sorted({row.video_id for row in rows})
    if len(videos) < 2:
        raise JsfError(f"{len(videos)} video to train on; holding some out for validation needs two or more.")
    count = min(most, len(videos) - 1, max(1, round(share * len(videos))))
    held = set(random.Random(seed).sample(videos, count))
    return [row for row in rows if row.video_id not in held], [row for row in rows if row.video_id in held]
