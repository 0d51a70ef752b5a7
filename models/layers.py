"""The dense layer that all parts share, and the masks that keep padding out of everything."""

from collections.abc import Callable

import torch
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
        """x [..., C], valid [...] bool or None where all are -> [..., C]."""
        mean, variance = self._batch_statistics(x, valid) if self.training else (self.mean, self.variance)
        return (x - mean) * torch.rsqrt(variance + self.epsilon) + self.shift

    def _batch_statistics(self, x: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        cells = x.flatten(0, -2) if valid is None else x[valid]
        variance, mean = torch.var_mean(cells.float(), dim=0, correction=0)
        self.mean.lerp_(mean.detach(), 1 - self.decay)
        self.variance.lerp_(variance.detach(), 1 - self.decay)
        return mean, variance


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
        if self.norm is not None:
            x = self.norm(x, valid)
        return self.activation(x)

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
