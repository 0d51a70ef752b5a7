"""The dense layer that all parts share, and the masks that keep padding out of everything."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def valid_steps(lengths: Tensor, steps: int) -> Tensor:
    """Which of `steps` steps are valid: lengths [B] -> [B, steps] bool."""
    return torch.arange(steps, device=lengths.device, dtype=lengths.dtype) < lengths[:, None]


class MaskedBatchNorm(nn.Module):
    """Batch normalisation with a shift and no scale, whose statistics count valid positions only.

    With padding left out of the statistics, cropping a batch to its longest member changes nothing in training either.
    Source: authors' code (no scale, epsilon 1e-3).
    """

    epsilon = 1e-3
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        self.shift = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [..., C], valid [...] bool or None where all are -> [..., C]; in training, zero where not valid."""
        if not self.training:
            return (x - self.mean) * torch.rsqrt(self.variance + self.epsilon) + self.shift
        if valid is None:
            return self._normalize(x.flatten(0, -2)).view_as(x)
        return torch.zeros_like(x).index_put((valid,), self._normalize(x[valid]))

    def _normalize(self, cells: Tensor) -> Tensor:
        return F.batch_norm(
            cells, self.mean, self.variance, None, self.shift, training=True, momentum=1 - self.decay, eps=self.epsilon
        )


class Dense(nn.Module):
    """A dense layer: product, batch norm, activation. The norm's shift is its bias (authors' code)."""

    def __init__(self, inputs: int, outputs: int, decay: float, activation: Callable[[Tensor], Tensor] = torch.tanh):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm: MaskedBatchNorm | None = MaskedBatchNorm(outputs, decay)
        self.activation = activation
        nn.init.xavier_uniform_(self.linear.weight)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [..., inputs], valid [...] bool -> [..., outputs]."""
        x = self.linear(x)
        return self.activation(x if self.norm is None else self.norm(x, valid))

    @torch.no_grad()
    def fold(self) -> None:
        """Folds the batch norm's running statistics into the product: same outputs in eval mode, fewer operations."""
        if self.norm is None:
            return
        scale = torch.rsqrt(self.norm.variance + self.norm.epsilon)
        folded = nn.Linear(self.linear.in_features, self.linear.out_features).to(scale)
        folded.weight.copy_(self.linear.weight * scale[:, None])
        folded.bias.copy_(self.norm.shift - self.norm.mean * scale)
        self.linear, self.norm = folded, None
