"""What reconstructs the parts of a sequence from its embedding: used in training alone."""

import torch
from torch import Tensor, nn

from jsf.models.layers import valid_steps


class Decoder(nn.Module):
    """A GRU that is fed the embedding at every step, and a linear output: a GRU's own cannot leave (-1, 1)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        self.output = nn.Linear(width, outputs)

    def forward(self, embedding: Tensor, targets: Tensor, lengths: Tensor) -> Tensor:
        """How far what it makes of embedding [B, H] lies from targets [B, N, C], of which lengths [B] steps are valid.

        Returns:
            The mean over valid steps of the Euclidean distance, a scalar; targets get no gradient.
        """
        states, _ = self.gru(embedding[:, None].expand(-1, targets.shape[1], -1))
        gap = (self.output(states) - targets.detach()).square().sum(-1)
        return torch.sqrt(gap[valid_steps(lengths, targets.shape[1])] + 1e-12).mean()  # a root has no slope at 0
