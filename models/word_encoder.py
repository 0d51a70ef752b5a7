"""Words to joint space: their context beside the word vectors, then D1w (section 3.2)."""

import torch
from torch import Tensor, nn

from jsf.data.vocabulary import BLANK_ID
from jsf.models.config import JSFusionConfig
from jsf.models.layers import Dense, Dropout, Recurrent, valid_steps


class WordEncoder(nn.Module):
    """x_w = [h; w], then D1w. h is a BLSTM over the sentence."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.skip, self.blank_hidden = config.word_skip, config.blank_hidden
        self.embedding = nn.Embedding(config.vocabulary_size, config.word_width, padding_idx=0)
        nn.init.normal_(self.embedding.weight[1:], std=config.word_width**-0.5)
        self.embedding_dropout = Dropout(config.embedding_dropout, config.whole_dropout)
        self.in_dropout = Dropout(config.lstm_in_dropout, config.whole_dropout)
        self.out_dropout = Dropout(config.lstm_out_dropout, config.whole_dropout)
        self.word_dropout = Dropout(config.word_dropout, config.whole_dropout)
        self.context: nn.Module
        width, hidden = config.word_width, config.lstm
        if config.word_context == "dense":
            self.context, context = Dense(width, 2 * hidden, config), 2 * hidden
        else:
            both = config.word_context == "blstm"
            self.context, context = Recurrent(width, hidden, bidirectional=both), hidden * (1 + both)
        self.d1 = Dense(context + (width if self.skip else 0), config.joint, config)

    def forward(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Words [B, M] integer ids, M <= 40, lengths [B] -> encoded words [B, M, J], zero where padded.

        Cropping to the longest sentence changes nothing.
        """
        valid = valid_steps(lengths, words.shape[1])
        seen = valid & (words != BLANK_ID) if self.blank_hidden else valid
        w = self.embedding_dropout(self.embedding(words)) * seen[..., None]  # [B, M, word_width]
        w_in = self.in_dropout(w)
        h = self.out_dropout(self.context(w_in, valid) if isinstance(self.context, Dense) else self.context(w_in))
        encoded: Tensor = self.d1(torch.cat([h, w], dim=-1) if self.skip else h, valid)
        kept: Tensor = self.word_dropout(encoded) * valid[..., None]
        return kept
