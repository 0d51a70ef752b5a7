"""The Joint Semantic Tensor: every frame times every word, refined by attention (equations 2 and 3)."""

import torch
from torch import Tensor, nn

from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense


class JointSemanticTensor(nn.Module):
    """t = D1v * D1w; alpha = sigmoid(w . D2(t)); gamma = D4(D3(t)); J = alpha * gamma."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        width, decay = config.joint, config.norm_decay
        self.d2 = Dense(width, width, decay)
        self.w = Dense(width, 1, decay, torch.sigmoid)
        self.d3 = Dense(width, width, decay)
        self.d4 = Dense(width, width, decay)

    def forward(self, frames: Tensor, words: Tensor, valid: Tensor) -> Tensor:
        """frames [P, N, J], words [P, M, J], valid [P, N, M] bool -> joint tensor [P, N, M, J], zero elsewhere."""
        t = frames[:, :, None] * words[:, None]  # [P, N, M, J]
        attention = self.w(self.d2(t, valid), valid)  # [P, N, M, 1]
        joint: Tensor = attention * self.d4(self.d3(t, valid), valid)
        return joint * valid[..., None]
