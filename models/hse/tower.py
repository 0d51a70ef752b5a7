"""One modality, from its steps to one vector: frames, clips, video; or words, sentences, paragraph."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from jsf.models.hse.config import HSEConfig
from jsf.models.hse.sequence_encoder import SequenceEncoder


class Levels(NamedTuple):
    """What a tower makes of a batch; none of it is of unit length.

    Attributes:
        top: [B, H], videos or paragraphs.
        context: [B, H], the lower level's view of the whole; the same as `top` in a flat model.
        parts: [B, K, H], clips or sentences, zero where there is none; None in a flat model.
    """

    top: Tensor
    context: Tensor
    parts: Tensor | None = None


class Tower(nn.Module):
    """The lower level encodes each part and the whole; the upper one encodes the parts and begins with the whole."""

    def __init__(self, width: int, config: HSEConfig) -> None:
        super().__init__()
        self.low = SequenceEncoder(width, config)
        self.high = SequenceEncoder(config.hidden, config) if config.hierarchical else None
        self.dropout = nn.Dropout(config.output_dropout)

    def forward(
        self, whole: Tensor, lengths: Tensor, parts: Tensor | None = None, part_lengths: Tensor | None = None
    ) -> Levels:
        """whole [B, N, C], lengths [B]; in HSE parts [B, K, N', C] and part_lengths [B, K], 0 where there is none."""
        context = self.dropout(self.low(whole, lengths))
        if self.high is None:
            return Levels(context, context)
        assert parts is not None and part_lengths is not None
        encoded = self.dropout(self._parts(parts, part_lengths))
        return Levels(self.high(encoded, (part_lengths > 0).sum(1), context), context, encoded)

    def _parts(self, parts: Tensor, lengths: Tensor) -> Tensor:
        """[B, K, N, C], [B, K] -> [B, K, H]; in training without the places that hold no part."""
        if not self.training:
            encoded: Tensor = self.low(parts.flatten(0, 1), lengths.flatten())
            return encoded.view(*parts.shape[:2], -1)
        there = lengths > 0
        found = self.low(parts[there], lengths[there])
        return torch.zeros(*lengths.shape, found.shape[1], dtype=found.dtype, device=found.device).index_put(
            (there,), found
        )
