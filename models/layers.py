"""The dense layer that all parts share, and the masks that keep padding out of everything."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS
from jsf.models.config import JSFusionConfig

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": torch.relu,
    "leaky": lambda x: F.leaky_relu(x, 0.2),
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


def valid_steps(lengths: Tensor, steps: int, left_padded: bool = False) -> Tensor:
    """Which of `steps` steps are valid: lengths [B] -> [B, steps] bool; the last ones where padding is on the left."""
    order = torch.arange(steps, device=lengths.device, dtype=lengths.dtype)
    return (steps - 1 - order if left_padded else order) < lengths[:, None]


class Standardized(nn.Module):
    """Standardizes features with the training set's statistics, which are the identity until training sets them."""

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, width: int, unseen: int = 0) -> None:
        super().__init__()
        self.unseen = unseen
        self.register_buffer("feature_mean", torch.zeros(width))
        self.register_buffer("feature_scale", torch.ones(width))
        self.standardize(torch.zeros(width), torch.ones(width))

    def standardize(self, mean: Tensor, scale: Tensor) -> None:
        """Sets the mean and the inverse standard deviation, [D] each; numbers that are not seen get scale zero."""
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(scale)
        if self.unseen:
            self.feature_scale[-self.unseen :] = 0.0

    def standardized(self, features: Tensor) -> Tensor:
        """[..., D] -> [..., D]."""
        return (features - self.feature_mean) * self.feature_scale


class MaskedBatchNorm(nn.Module):
    """Batch normalisation with a shift and no scale, whose statistics count valid positions only.

    With padding left out of the statistics, cropping a batch to its longest member changes nothing in training either.
    The authors' code counts padding too (`norm_padding`); no scale and epsilon 1e-3 are theirs.
    """

    epsilon = 1e-3
    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, config: JSFusionConfig) -> None:
        super().__init__()
        self.decay, self.padding = config.norm_decay, config.norm_padding
        self.shift = nn.Parameter(torch.zeros(width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x: Tensor, valid: Tensor | None = None) -> Tensor:
        """x [..., C], valid [...] bool or None where all are -> [..., C]; in training, zero where not valid."""
        if not self.training:
            return (x - self.mean) * torch.rsqrt(self.variance + self.epsilon) + self.shift
        if valid is None or self.padding:
            return self._normalize(x.flatten(0, -2)).view_as(x)
        return torch.zeros_like(x).index_put((valid,), self._normalize(x[valid]))

    def _normalize(self, cells: Tensor) -> Tensor:
        return F.batch_norm(
            cells, self.mean, self.variance, None, self.shift, training=True, momentum=1 - self.decay, eps=self.epsilon
        )


class Dense(nn.Module):
    """A dense layer: product, batch norm, activation. The norm's shift is its bias (authors' code)."""

    def __init__(self, inputs: int, outputs: int, config: JSFusionConfig, activation: str = "tanh") -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm: MaskedBatchNorm | None = MaskedBatchNorm(outputs, config)
        self.activation = ACTIVATIONS[activation]
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


class Dropout(nn.Module):
    """Dropout of a sequence [B, N, C]: of each number of each step, or of a number at all steps."""

    def __init__(self, rate: float, whole: bool) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise JsfError(f"a drop rate is {rate}, expected 0 or more and below 1.")
        self.rate, self.whole = rate, whole

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C]."""
        if not (self.training and self.rate):
            return x
        return x * F.dropout(x.new_ones(len(x), 1, x.shape[2]), self.rate) if self.whole else F.dropout(x, self.rate)


class Recurrent(nn.Module):
    """An LSTM over all 40 steps; padded steps are zero vectors (authors' code).

    Padding that was cropped still counts: the backward LSTM reads it before it comes to the last valid step. What it
    reads is the same for every sequence, so it is read once.
    """

    def __init__(self, inputs: int, hidden: int, bidirectional: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True, bidirectional=bidirectional)
        for name, bias in self.lstm.named_parameters():
            if name.startswith("bias_ih"):  # gates i, f, g, o: remember by default (authors' code)
                bias.data[hidden : 2 * hidden] += 1.0

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, inputs], N <= 40 -> hidden states [B, N, hidden], or [B, N, 2 * hidden] where bidirectional."""
        cropped = MAX_STEPS - x.shape[1]
        begin = None
        if cropped and self.lstm.bidirectional:
            _, after = self.lstm(x.new_zeros(1, cropped, x.shape[2]))
            backward = torch.tensor([0.0, 1.0], device=x.device)[:, None, None]
            begin = tuple((state * backward).expand(-1, len(x), -1).contiguous() for state in after)
        states: Tensor = self.lstm(x, begin)[0]
        return states
