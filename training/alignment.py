"""How well the words of a sentence find their frames, from the encodings alone: a cheap companion of the matcher.

It costs one product of matrices for a whole batch, so it can see many more pairs than JST and CHD. In training it
teaches both encoders, and points out the pairs that are worth matching. Scoring never uses it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jsf.models.layers import valid_steps

SOFTNESS = 4.0
"""Inverse temperature of the soft maximum over frames: a word is found in few frames, and several may share it."""

TEMPERATURE, LOWEST = 0.1, 0.01
"""Of the logits: where it starts to be learnt, and its least value."""


class Alignment(nn.Module):
    """The mean over words of the soft maximum over frames of their cosine, as logits."""

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))

    def forward(
        self, videos: Tensor, frame_lengths: Tensor, sentences: Tensor, word_lengths: Tensor, left_padded: bool = False
    ) -> Tensor:
        """Encoded videos [V, N, J] and sentences [S, M, J] with their lengths -> logits [V, S], in float32."""
        frames = valid_steps(frame_lengths, videos.shape[1], left_padded)
        words = valid_steps(word_lengths, sentences.shape[1])
        v, s = F.normalize(videos.float(), dim=-1), F.normalize(sentences.float(), dim=-1)
        with torch.autocast(v.device.type, enabled=False):
            cosines = torch.einsum("vnj,smj->vsmn", v, s)
        weights = (SOFTNESS * cosines).masked_fill(~frames[:, None, None], -torch.inf).softmax(-1)
        found = (weights * cosines).sum(-1) * words  # [V, S, M]
        return found.sum(-1) / words.sum(-1) * self.sharpness.clamp(max=math.log(1 / LOWEST)).exp()
