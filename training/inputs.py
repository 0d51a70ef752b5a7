"""What a model takes from its training data before it learns: the features' statistics, and word vectors."""

import numpy as np
import numpy.typing as npt
import torch

from jsf.data.progress import track
from jsf.data.split import Split
from jsf.models.jsfusion import JSFusion

FLOOR = 0.1
"""Least standard deviation that a dimension is divided by, relative to the median of all that vary."""


def standardize(model: JSFusion, split: Split) -> None:
    """Sets the frame encoder's standardization to the training videos' statistics, one video in memory at a time."""
    video_ids = split.video_ids
    origin = split.store.read(video_ids[0])[0].astype(np.float64)  # sums about it keep their digits
    count, total, squares = 0, np.zeros_like(origin), np.zeros_like(origin)
    for video_id in track(video_ids, "standardizing", len(video_ids)):
        steps = split.store.read(video_id) - origin
        count, total, squares = count + len(steps), total + steps.sum(0), squares + np.square(steps).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    varies = deviation > 1e-6
    # A dimension that hardly varies is noise: at unit variance it would overflow FP16. One that never does is zero.
    floor = FLOOR * np.median(deviation[varies]) if varies.any() else 1.0
    scale = np.where(varies, 1 / np.maximum(deviation, floor), 0.0)
    model.frame_encoder.standardize(torch.from_numpy(origin + mean), torch.from_numpy(scale))


def set_word_vectors(model: JSFusion, vectors: npt.NDArray[np.float32], found: npt.NDArray[np.bool_]) -> None:
    """Sets the embeddings of the words that have a vector."""
    with torch.no_grad():
        model.word_encoder.embedding.weight[torch.from_numpy(found)] = torch.from_numpy(vectors[found])
