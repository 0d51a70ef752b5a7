"""The Convolutional Hierarchical Decoder: gated convolutions reduce the joint tensor to a score (section 3.3)."""

import torch
from torch import Tensor, nn

from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense

STRIDES = (1, 1, 2)


class GatedConvolution(nn.Module):
    """J <- Conv(J) * sigmoid(ConvG(J)): 3x3, no padding, the gate has one channel (equation 4)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride)
        self.gate = nn.Conv2d(inputs, 1, kernel_size=3, stride=stride)
        for layer in (self.convolution, self.gate):
            nn.init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, joint: Tensor) -> Tensor:
        """[P, C, N, M] -> [P, C', N', M']."""
        convolved: Tensor = self.convolution(joint)
        return convolved * torch.sigmoid(self.gate(joint))


def shrink(valid: Tensor, stride: int) -> Tensor:
    """Which steps are valid after a width-3 convolution: [P, N] bool -> [P, N'] bool.

    A step counts when the last of the three that it reads does, and the first one always does: a length n becomes
    max(1, n - 2), or max(1, (n - 1) // 2) with stride 2 (authors' code).
    """
    return torch.cat([valid[:, :1], valid[:, 2 + stride :: stride]], dim=1)


class ConvolutionalHierarchicalDecoder(nn.Module):
    """Three gated convolutions, the mean over valid cells, then D5, D6, D7 (tanh) and D8 (linear)."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        inputs = (config.joint, config.conv, config.conv)
        self.stages = nn.ModuleList(
            GatedConvolution(width, config.conv, stride) for width, stride in zip(inputs, STRIDES, strict=True)
        )
        d5, d6, d7 = config.head
        self.d5 = Dense(config.conv, d5, config.norm_decay)
        self.d6 = Dense(d5, d6, config.norm_decay)
        self.d7 = Dense(d6, d7, config.norm_decay)
        self.d8 = nn.Linear(d7, 1)

    def forward(self, joint: Tensor, frames: Tensor, words: Tensor) -> Tensor:
        """joint [P, N, M, J], valid frames [P, N] and words [P, M] bool -> scores [P], raw logits."""
        x = joint.permute(0, 3, 1, 2)  # [P, J, N, M]
        for stage, stride in zip(self.stages, STRIDES, strict=True):
            x = stage(x)
            frames, words = shrink(frames, stride), shrink(words, stride)
            x = x * (frames[:, None, :, None] & words[:, None, None, :]).to(x.dtype)
        cells = frames.sum(1) * words.sum(1)
        pooled = x.sum((2, 3)) / cells[:, None].float()  # [P, conv]; a count is not exact in bfloat16
        scores: Tensor = self.d8(self.d7(self.d6(self.d5(pooled))))
        return scores.squeeze(-1)
