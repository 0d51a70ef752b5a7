"""The ranking loss (equation 6)."""

import torch
from torch import Tensor


def ranking_loss(scores: Tensor, same_video: Tensor, margin: float, both_directions: bool = True) -> Tensor:
    """Hinge on every wrong video of a sentence and, with `both_directions`, on every wrong sentence of a video.

    Equation 6 ranks the videos for each sentence; the mean over its terms keeps the loss independent of the batch size.

    Args:
        scores: [B, B], score of video i with sentence j; the diagonal holds the true pairs.
        same_video: [B, B] bool, where sentence j describes video i: such a pair is never counted as wrong.
        margin: Delta.
        both_directions: also rank the sentences for each video.

    Returns:
        The loss, a scalar.
    """
    true = scores.diagonal()
    wrong = ~same_video
    hinge = torch.relu(margin + scores - true[None, :])[wrong]
    if both_directions:
        hinge = torch.cat([hinge, torch.relu(margin + scores - true[:, None])[wrong]])
    return hinge.mean() if len(hinge) else scores.sum() * 0
