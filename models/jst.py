"""The Joint Semantic Tensor: every frame times every word, refined by attention (equations 2 and 3)."""

from torch import Tensor, nn

from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense


class JointSemanticTensor(nn.Module):
    """t = D1v * D1w; alpha = sigmoid(w . D2(t)); gamma = D4(D3(t)); J = alpha * gamma."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.padding = config.norm_padding
        self.d2 = Dense(config.joint, config.refine, config)
        self.w = Dense(config.refine, 1, config, "sigmoid")
        self.d3 = Dense(config.joint, config.refine, config)
        self.d4 = Dense(config.refine, config.refine, config)

    def forward(self, frames: Tensor, words: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [P, N, J], words [P, M, J], valid [P, N, M] bool -> joint tensor [P, N, M, R], attention [P, N, M].

        Both are zero where not valid.
        """
        t = frames[:, :, None] * words[:, None]  # [P, N, M, J]
        if self.training and not self.padding:  # the valid cells alone: most cells are padding, and batch norm skips it
            joint, attention = self._refine(t[valid])
            return _scatter(joint, valid), _scatter(attention, valid).squeeze(-1)
        joint, attention = self._refine(t)
        return joint * valid[..., None], attention.squeeze(-1) * valid

    def _refine(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """[..., J] -> alpha * gamma [..., R], alpha [..., 1]."""
        attention = self.w(self.d2(t))
        return attention * self.d4(self.d3(t)), attention


def _scatter(cells: Tensor, valid: Tensor) -> Tensor:
    """Cells [K, C] to where valid [P, N, M] is true, zero elsewhere: [P, N, M, C]."""
    return cells.new_zeros(*valid.shape, cells.shape[1]).index_put((valid,), cells)
