"""What every evaluation checks before it starts, and hands to a scorer: each video and each sentence once."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.identity import same_extractor
from jsf.data.progress import track
from jsf.data.sequence import sample_steps
from jsf.data.store import FeatureStore
from jsf.data.task_names import EMBEDDING
from jsf.evaluation.protocols import Described

Item = TypeVar("Item", bound=Hashable)


def check_inputs(scorer: Described, store: FeatureStore, video_ids: Sequence[str]) -> None:
    """Refuses what would fail late or give a number that means nothing.

    Raises:
        JsfError: there is nothing to evaluate, a video has no features, or another extractor made them than those that
            the scorer was trained on.
    """
    if not video_ids:
        raise JsfError("there is nothing to evaluate: the table has no rows.")
    if not same_extractor(store.extractor, scorer.extractor):
        raise JsfError(
            f"{store.path} was extracted by '{store.extractor}'; the model was trained on '{scorer.extractor}'.",
            "Extract the videos again with the model's extractor.",
        )
    known = set(store.ids())
    if absent := [video_id for video_id in video_ids if video_id not in known]:
        raise JsfError(
            f"{store.path} has no features of '{absent[0]}'; of {len(video_ids):,} videos {len(absent):,} are absent.",
            "Extract the videos that the table names, or name a table of the videos that are there.",
        )
    ours, theirs = getattr(scorer, "feature_width", None), store.width_of(video_ids[0])
    if ours not in (None, theirs):  # the demo's control takes any
        raise JsfError(
            f"{store.path} has features {theirs} wide; the model takes {ours}.",
            "Name features of the model's own extractor.",
        )


def distinct(items: Iterable[Item]) -> tuple[list[Item], npt.NDArray[np.intp]]:
    """Items each once, in order of first appearance, and the index of each given one among them."""
    first: dict[Item, int] = {}
    index = [first.setdefault(item, len(first)) for item in items]
    return list(first), np.array(index, np.intp)


def blocks(rows: npt.NDArray[np.intp], video: npt.NDArray[np.intp], size: int) -> list[npt.NDArray[np.intp]]:
    """`rows` in blocks of about `size`; those of one video [Q] are all in one, so that it is encoded once."""
    counts = np.bincount(video[rows])
    block = ((np.cumsum(counts) - counts) // size)[video[rows]]
    return [rows[block == number] for number in np.unique(block)]


def read_videos(store: FeatureStore, video_ids: Sequence[str], scorer: Described) -> list[npt.NDArray[Any]]:
    """The features of each video, [T_i, D]; for JSFusion T_i <= 40, which is all it sees of many long videos.

    Raises:
        JsfError: the features of a video are invalid.
    """
    reading = map(store.read, track(video_ids, "reading features", len(video_ids)))
    if scorer.task == EMBEDDING:  # which may take more steps, and cuts clips of them
        return list(reading)
    return [features[sample_steps(len(features))] for features in reading]
