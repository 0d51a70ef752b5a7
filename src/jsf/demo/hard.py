"""How often the true caption beats its hard negatives."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from jsf.data.captions import read_captions
from jsf.data.columns import read_table
from jsf.data.store import FeatureStore
from jsf.evaluation.protocols import MatrixScorer


def hard_negative_rates(scorer: MatrixScorer, captions: Path, negatives: Path, store: FeatureStore) -> dict[str, float]:
    """Kind of hard negative -> percentage of clips whose caption scores higher; a tie counts half.

    Args:
        scorer: of videos and sentences.
        captions: a table with one caption per clip.
        negatives: a table whose keys end in "-<kind>".
        store: the clips' features.
    """
    wrong = read_table(negatives, ("key", "video_id", "sentence"))
    by_clip: dict[str, dict[str, str]] = defaultdict(dict)
    for _, row in wrong:
        by_clip[row["video_id"]][row["key"].rpartition("-")[2]] = row["sentence"]
    wins = defaultdict(list)
    for caption in read_captions(captions):
        kinds = by_clip[caption.video_id]
        true, *others = scorer.score_matrix([store.read(caption.video_id)], [caption.sentence, *kinds.values()])[0]
        for kind, other in zip(kinds, others, strict=True):
            wins[kind].append((1 + float(np.sign(true - other))) / 2)
    return {kind: 100 * float(np.mean(won)) for kind, won in wins.items()}
