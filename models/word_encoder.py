"""Words to joint space: a BLSTM over the sentence beside the word vectors, then D1w (section 3.2)."""

import torch
from torch import Tensor, nn

from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense, valid_steps


class WordEncoder(nn.Module):
    """x_w = [h_f; h_b; w], then D1w. The BLSTM runs over all steps; padded words are zero vectors (authors' code)."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.word_width, padding_idx=0)
        self.dropout = nn.Dropout(config.dropout)
        self.blstm = nn.LSTM(config.word_width, config.lstm, batch_first=True, bidirectional=True)
        self.d1 = Dense(2 * config.lstm + config.word_width, config.joint, config.norm_decay)
        nn.init.normal_(self.embedding.weight[1:], std=config.word_width**-0.5)
        for name, bias in self.blstm.named_parameters():
            if name.startswith("bias_ih"):  # gates i, f, g, o: remember by default (authors' code)
                bias.data[config.lstm : 2 * config.lstm] += 1.0

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """words [B, M] integer ids, lengths [B] -> encoded words [B, M, J], zero past each length."""
        valid = valid_steps(lengths, words.shape[1])
        w = self.dropout(self.embedding(words)) * valid[..., None]  # [B, M, word_width]
        h, _ = self.blstm(w)  # [B, M, 2 * lstm]
        encoded: Tensor = self.d1(torch.cat([self.dropout(h), w], dim=-1), valid)
        return encoded * valid[..., None]
