"""Frames to joint space: a 1-d CNN over time beside the raw features, then D1v (section 3.2)."""

import torch
from torch import Tensor, nn

from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense, valid_steps


class FrameEncoder(nn.Module):
    """x_v = [h; v], then D1v. h is three width-3 convolutions, SAME padding, ReLU, and a gated linear unit.

    The unit's gate (first half times the sigmoid of the second) is the authors' code; the paper gives the widths.
    Features are standardized with the training set's statistics, which are the identity until training sets them.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        width, channels = config.feature_width, config.frame_channels
        self.register_buffer("feature_mean", torch.zeros(width))
        self.register_buffer("feature_scale", torch.ones(width))
        self.dropout = nn.Dropout(config.dropout)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs, channels, kernel_size=3, padding=1) for inputs in (width, channels, channels)
        )
        self.d1 = Dense(channels // 2 + width, config.joint, config.norm_decay)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """features [B, N, D], lengths [B] -> encoded frames [B, N, J], zero past each length."""
        valid = valid_steps(lengths, features.shape[1])
        mask = valid[..., None].to(features.dtype)
        v = self.dropout((features - self.feature_mean) * self.feature_scale) * mask
        h = v.transpose(1, 2)  # [B, D, N]
        for convolution in self.convolutions:
            h = torch.relu(convolution(h))
        content, gate = h.transpose(1, 2).chunk(2, dim=-1)  # [B, N, channels / 2] each
        encoded: Tensor = self.d1(torch.cat([content * torch.sigmoid(gate), v], dim=-1), valid)
        return encoded * mask
