"""Frames to joint space: their context beside the raw features, then D1v (section 3.2)."""

import math

import torch
from torch import Tensor, nn

from jsf.data.sequence import MAX_STEPS
from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense, Dropout, MaskedBatchNorm, Recurrent, Standardized, valid_steps


class FrameEncoder(Standardized):
    """x_v = [h; v], then D1v. h is a 1-d CNN over time."""

    timing: Tensor | None

    def __init__(self, config: JSFusionConfig) -> None:
        width = config.feature_width
        super().__init__(width, config.unseen)
        self.left_padded, self.skip = config.left_padded, config.frame_skip
        self.register_buffer("timing", timing_signal(MAX_STEPS, width) if config.timing else None)
        self.frame_dropout = Dropout(config.frame_dropout, config.whole_dropout)
        self.context_dropout = Dropout(config.cnn_dropout, config.whole_dropout)
        self.context: nn.Module
        if config.frame_context == "lstm":
            self.context, context = Recurrent(width, config.lstm, bidirectional=False), config.lstm
        else:
            self.context, context = FrameCNN(config), config.frame_channels // 2
        self.d1 = Dense(context + (width if self.skip else 0), config.joint, config)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features [B, N, D], lengths [B] -> encoded frames [B, N, J], zero where padded."""
        valid = valid_steps(lengths, features.shape[1], self.left_padded)
        mask = valid[..., None].to(features.dtype)
        v = self.standardized(features)
        v = self.frame_dropout(v if self.timing is None else v + self.timing) * mask
        h = self.context_dropout(self.context(v))
        encoded: Tensor = self.d1(torch.cat([h, v], dim=-1) if self.skip else h, valid)
        return encoded * mask


class FrameCNN(nn.Module):
    """Three width-3 convolutions, SAME padding, ReLU, and a gated linear unit.

    The unit's gate (first half times the sigmoid of the second) is the authors' code; the paper gives the widths.
    """

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        width, channels, norm = config.feature_width, config.frame_channels, config.frame_norm
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, channels, kernel_size=3, padding=1, bias=not norm)
            for inputs in (width, channels, channels)
        )
        self.norms = nn.ModuleList(
            MaskedBatchNorm(channels, config) if norm else nn.Identity() for _ in self.convolutions
        )

    def forward(self, v: Tensor) -> Tensor:
        """[B, N, D] -> [B, N, channels / 2]."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            v = torch.relu(norm(convolution(v.transpose(1, 2)).transpose(1, 2)))
        content, gate = v.chunk(2, dim=-1)
        return content * torch.sigmoid(gate)


def timing_signal(steps: int, width: int) -> Tensor:
    """Sines, then cosines, of geometrically spaced wavelengths from 2 pi to 20,000 pi steps: [steps, width].

    Source: authors' code, which takes it from tensor2tensor.
    """
    waves = width // 2
    frequencies = torch.exp(torch.arange(waves) * (-math.log(10_000.0) / max(1, waves - 1)))
    angles = torch.arange(steps)[:, None] * frequencies
    return nn.functional.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, width % 2))
