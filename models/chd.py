"""The Convolutional Hierarchical Decoder: gated convolutions reduce the joint tensor to a vector (section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jsf.data.lengths import STRIDES
from jsf.models.config import JSFusionConfig
from jsf.models.layers import ACTIVATIONS


class Stage(nn.Module):
    """J <- Conv(J) * sigmoid(ConvG(J)): width 3, no padding, the gate has one channel (equation 4)."""

    def __init__(self, inputs: int, stride: int, config: JSFusionConfig) -> None:
        super().__init__()
        across_words = 0 if config.blank_only else 1
        self.size, self.stride = (3, 1 + 2 * across_words), (stride, 1 + (stride - 1) * across_words)
        self.composer = config.composer
        self.activation = ACTIVATIONS[config.conv_activation]
        self.gate_activation = ACTIVATIONS[config.gate_activation]
        if config.composer == "convolution":
            self.convolution = self._convolution(inputs, config.conv)
        self.gate: nn.Module | None = self._convolution(inputs, 1) if config.gated else None

    def forward(self, joint: Tensor) -> tuple[Tensor, Tensor]:
        """[P, C, N, M] -> J [P, C', N', M'], gate [P, 1, N', M']."""
        if self.composer == "convolution":
            composed = self.convolution(joint)
        elif self.composer == "max":
            composed = F.max_pool2d(joint, self.size, self.stride)
        else:
            composed = F.avg_pool2d(joint, self.size, self.stride)
        composed = self.activation(composed)
        if self.gate is None:
            return composed, torch.ones_like(composed[:, :1])
        gate = torch.sigmoid(self.gate_activation(self.gate(joint)))
        return composed * gate, gate

    def _convolution(self, inputs: int, outputs: int) -> nn.Conv2d:
        layer = nn.Conv2d(inputs, outputs, self.size, self.stride)
        nn.init.xavier_uniform_(layer.weight)
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
        return layer


def shrink(valid: Tensor, stride: int, left_padded: bool = False) -> Tensor:
    """Which steps are valid after a width-3 stage: [P, N] bool -> [P, N'] bool.

    A length n becomes max(1, n - 2), or max(1, (n - 1) // 2) with stride 2 (authors' code): a step counts when the last
    of the three that it reads does (with padding on the left the first, or with stride 2 the middle one), and the
    first step (the last) always does.
    """
    if left_padded:
        steps = (valid.shape[1] - 3) // stride + 1
        return torch.cat([valid[:, stride - 1 :: stride][:, : steps - 1], valid[:, -1:]], dim=1)
    return torch.cat([valid[:, :1], valid[:, 2 + stride :: stride]], dim=1)


class ConvolutionalHierarchicalDecoder(nn.Module):
    """Three gated convolutions, then the mean (or the sum) over valid cells."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.left_padded, self.blank_only, self.mean = config.left_padded, config.blank_only, config.pool == "mean"
        self.width = config.conv if config.composer == "convolution" else config.refine
        inputs = (config.refine, self.width, self.width)
        self.stages = nn.ModuleList(Stage(width, stride, config) for width, stride in zip(inputs, STRIDES, strict=True))

    def forward(self, joint: Tensor, frames: Tensor, words: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Reduces the joint tensor.

        Args:
            joint: [P, N, M, R].
            frames: [P, N] bool, which are valid.
            words: [P, M] bool.

        Returns:
            [P, conv], and for each stage its output [P, conv, N', M'] and its gate [P, 1, N', M'], zero where padded.
        """
        x = joint.permute(0, 3, 1, 2)  # [P, R, N, M]
        outputs, gates = [], []
        for stage, stride in zip(self.stages, STRIDES, strict=True):
            x, gate = stage(x)
            frames = shrink(frames, stride, self.left_padded)
            words = words if self.blank_only else shrink(words, stride)
            mask = (frames[:, None, :, None] & words[:, None, None, :]).to(x.dtype)
            x = x * mask
            outputs.append(x)
            gates.append(gate * mask)
        pooled = x.sum((2, 3))
        if self.mean:
            pooled = pooled / (frames.sum(1) * words.sum(1))[:, None].float()  # a count is not exact in bfloat16
        return pooled, outputs, gates
