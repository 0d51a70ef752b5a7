"""How often the first stage finds the right video: what it loses, no second stage brings back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.runtime.index.collection import Collection
from jsf.runtime.index.first_stage import ranks
from jsf.runtime.index.made_by import check_made_by
from jsf.runtime.index.models import Models
from jsf.runtime.index.records import Recall
from jsf.runtime.index.writing import writing

LADDER = (1, 5, 10, 20, 50, 100, 200, 500, 1000)
"""The K of which the recall is kept."""


def measure_recall(folder: Path, models: Models, captions: Sequence[Caption], table: str) -> Recall:
    """Measures how often the first stage finds the video that a caption describes, and keeps it in the index.

    Raises:
        JsfError: none of the captions is of a video in the index, or the index is damaged.
    """
    with writing(folder):
        collection = Collection.open(folder)
        check_made_by(collection.contents, models, folder)
        rows = {video_id: row for row, video_id in enumerate(collection.ids)}
        asked = [caption for caption in captions if caption.video_id in rows]
        if not asked:
            raise JsfError(
                f"none of the {len(captions):,} captions of {table} is of a video in {folder}.",
                "Name a table whose video_id are the ids of the index: file names without suffix, or an HDF5 file's.",
            )
        queries = models.embed_texts([caption.sentence for caption in asked])
        counts = _found(collection, queries, np.array([rows[caption.video_id] for caption in asked]))
        recall = Recall(table, len(asked), len(collection), {str(k): count for k, count in counts.items()})
        replace(collection.contents, recall=recall).save(folder)
    return recall


def _found(collection: Collection, queries: npt.NDArray[np.float32], true: npt.NDArray[np.intp]) -> dict[int, int]:
    """K -> how many queries' true video is among the first K that the first stage finds."""
    ladder = [k for k in LADDER if k <= len(collection)]
    if collection.graph:  # which finds more where more are asked for
        return {k: int((collection.nearest(queries, k)[0] == true[:, None]).any(1).sum()) for k in ladder}
    places = ranks(collection.embeddings, queries, true)
    return {k: int((places <= k).sum()) for k in ladder}
