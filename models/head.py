"""From what was matched to a score, or to a score for each word: D5 to D8 (equation 5, section 3.6)."""

from torch import Tensor, nn

from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense


class Head(nn.Module):
    """D5, D6, D7, and D8 without an activation: one output, or one per word of the vocabulary."""

    def __init__(self, inputs: int, config: JSFusionConfig) -> None:
        super().__init__()
        d5, d6, d7 = config.head
        activation = config.head_activation
        self.d5 = Dense(inputs, d5, config, activation)
        self.d6 = Dense(d5, d6, config, activation)
        self.d7 = Dense(d6, d7, config, activation)
        outputs = config.vocabulary_size if config.fills_blanks else 1
        self.d8: nn.Module = Dense(d7, outputs, config, "linear") if config.score_norm else nn.Linear(d7, outputs)
        self.skip = config.skip

    def forward(self, matched: Tensor, blank: Tensor | None = None) -> Tensor:
        """Matched [P, C], and the encoding [P, J] of the sentence's blank -> [P, 1], or [P, |V|]; raw logits."""
        x = self.d7(self.d6(self.d5(matched)))
        scores: Tensor = self.d8(x if blank is None else (x + blank) * self.skip)
        return scores
