"""The losses of matched pairs: the paper's ranking loss (equation 6), and a contrastive one.

Both take scores [V, S] of videos with sentences, where sentence i describes video i; sentences past the V-th, if any,
describe none of the videos. `wrong` [V, S] bool says which pairs count as wrong: not those that were not scored, nor
another sentence about the same video.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def ranking_loss(scores: Tensor, wrong: Tensor, margin: float, both_directions: bool = True) -> Tensor:
    """Hinge on every wrong video of a sentence and, with `both_directions`, on every wrong sentence of a video.

    Equation 6 ranks the videos for each sentence; the mean over its terms keeps the loss independent of the batch size.

    Args:
        scores: [V, S].
        wrong: [V, S] bool.
        margin: Delta.
        both_directions: also rank the sentences for each video.

    Returns:
        The loss, a scalar.
    """
    true, described = scores.diagonal(), len(scores)
    hinge = torch.relu(margin + scores[:, :described] - true)[wrong[:, :described]]
    if both_directions:
        hinge = torch.cat([hinge, torch.relu(margin + scores - true[:, None])[wrong]])
    return hinge.mean() if len(hinge) else scores.sum() * 0


def choice_loss(scores: Tensor, wrong: Tensor, margin: float) -> Tensor:
    """The hinge of the wrong sentences of each video alone: of the candidates of a multiple-choice question."""
    hinge = torch.relu(margin + scores - scores.diagonal()[:, None])[wrong]
    return hinge.mean() if len(hinge) else scores.sum() * 0


def contrastive_loss(scores: Tensor, wrong: Tensor) -> Tensor:
    """Cross-entropy of the true pair among the wrong ones, by video and by sentence (InfoNCE).

    Args:
        scores: [V, S], as logits.
        wrong: [V, S] bool.

    Returns:
        The loss, a scalar.
    """
    described = len(scores)
    true = torch.arange(described, device=scores.device)
    kept = wrong | (true[:, None] == torch.arange(scores.shape[1], device=scores.device))
    logits = scores.masked_fill(~kept, -torch.inf)
    return (F.cross_entropy(logits, true) + F.cross_entropy(logits[:, :described].T, true)) / 2


def distillation_loss(scores: Tensor, teacher: Tensor, wrong: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the scores' distributions from the teacher's, by video and by sentence.

    Args:
        scores: [V, S], as logits.
        teacher: [V, S], as logits.
        wrong: [V, S] bool; with the true pairs, those that are compared.

    Returns:
        The loss, a scalar.
    """
    true = torch.eye(*scores.shape, dtype=torch.bool, device=scores.device)
    kept = wrong | true
    described = len(scores)
    by_video = _divergence(scores, teacher, kept)
    return by_video + _divergence(scores[:, :described].T, teacher[:, :described].T, kept[:, :described].T)


def _divergence(scores: Tensor, teacher: Tensor, kept: Tensor) -> Tensor:
    """The mean over rows of the divergence, within what is kept."""
    least = torch.finfo(scores.dtype).min
    found = scores.masked_fill(~kept, least).log_softmax(-1)
    wanted = teacher.masked_fill(~kept, least).log_softmax(-1)
    return (wanted.exp() * (wanted - found)).masked_fill(~kept, 0.0).sum(-1).mean()
