"""The losses of HSE: matching between the modalities and within each, at every level, and reconstruction.

`a` and `b` [B, H] are embeddings of any length of which row i of one belongs to row i of the other; `wrong` [B, B] bool
says which rows are no match: not those of the same video or the same text.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

MARGIN = 0.2


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """[A, H] and [B, H] -> [A, B], in float32 at least: a margin of 0.2 is 50 steps of bfloat16."""
    with torch.autocast(a.device.type, enabled=False):
        a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (a, b))
        return F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T


def matching(scores: Tensor, wrong: Tensor, hardest: bool = False, average: bool = False) -> Tensor:
    """C(A, B): the hinge of every wrong b of an a, and of every wrong a of a b, with a margin of 0.2.

    Source: the authors' code (HSE), its `all negatives` form; the hardest alone is VSE++'s.

    Args:
        scores: [B, S], the true pairs on the diagonal; texts past the B-th belong to no video.
        wrong: [B, S] bool.
        hardest: only the hardest wrong one of each counts.
        average: divide the sum by B * S.

    Returns:
        The loss, a scalar.
    """
    true, described = scores.diagonal(), len(scores)
    by_row = torch.relu(MARGIN + scores - true[:, None]).masked_fill(~wrong, 0)
    by_column = torch.relu(MARGIN + scores[:, :described] - true).masked_fill(~wrong[:, :described], 0)
    loss = by_row.amax(1).sum() + by_column.amax(0).sum() if hardest else by_row.sum() + by_column.sum()
    return loss / scores.numel() if average else loss


def set_scores(clips: Tensor, clip_of: Tensor, sentences: Tensor, sentence_of: Tensor) -> Tensor:
    """How well the clips of each video and the sentences of each text fit, where which belongs to which is not known.

    Each clip counts with its best sentence, each sentence with its best clip: the weak low-level loss is `matching` of
    these scores.

    Args:
        clips: [C, H].
        clip_of: [C], the video of each.
        sentences: [S, H].
        sentence_of: [S], the text of each.

    Returns:
        [B, B], videos by texts.
    """
    scores = cosines(clips, sentences)
    videos, texts = _members(clip_of), _members(sentence_of)
    best_sentence = scores[:, None].masked_fill(~texts.T, -torch.inf).amax(2)  # [C, B]
    best_clip = scores.T[:, None].masked_fill(~videos.T, -torch.inf).amax(2)  # [S, B]
    return (_mean_of(best_sentence, videos) + _mean_of(best_clip, texts).T) / 2


def _members(of: Tensor) -> Tensor:
    """[C] owners -> [C, B] bool."""
    return of[:, None] == torch.arange(int(of.max()) + 1, device=of.device)


def _mean_of(values: Tensor, members: Tensor) -> Tensor:
    """The mean of values [C, B] over the members [C, V] of each: [V, B]."""
    share = members.to(values.dtype)
    return share.T @ values / share.sum(0)[:, None]
