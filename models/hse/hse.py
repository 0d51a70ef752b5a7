"""HSE and FSE: a video encoder and a text encoder into one space, where the cosine says how well two fit."""

import torch
from torch import Tensor, nn

from jsf.models.hse.config import HSEConfig
from jsf.models.hse.tower import Levels, Tower
from jsf.models.layers import Dropout, Standardized


class HSE(nn.Module):
    """The hierarchical sequence embedding or, where the configuration says so, the flat one (FSE)."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()
        self.config = config
        self.video_encoder = VideoEncoder(config)
        self.text_encoder = TextEncoder(config)


class VideoEncoder(Standardized):
    """Frames to clips to a video."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__(config.feature_width)
        self.dropout = Dropout(config.feature_dropout, config.whole_dropout)
        self.tower = Tower(config.feature_width, config)

    def forward(
        self, features: Tensor, lengths: Tensor, clips: Tensor | None = None, clip_lengths: Tensor | None = None
    ) -> Tensor:
        """The videos' embeddings, [B, H], of unit length; arguments as `levels`."""
        return unit(self.levels(features, lengths, clips, clip_lengths).top)

    def levels(
        self, features: Tensor, lengths: Tensor, clips: Tensor | None = None, clip_lengths: Tensor | None = None
    ) -> Levels:
        """features [B, N, D], lengths [B]; in HSE clips [B, K, N, D], clip_lengths [B, K], 0 where there is none."""
        whole = self.dropout(self.standardized(features))
        found: Levels = self.tower(whole, lengths, None if clips is None else self._clips(clips), clip_lengths)
        return found

    def _clips(self, clips: Tensor) -> Tensor:
        standard = self.standardized(clips)
        dropped: Tensor = self.dropout(standard.flatten(0, 1))
        return dropped.view_as(standard)


class TextEncoder(nn.Module):
    """Words to sentences to a paragraph."""

    def __init__(self, config: HSEConfig) -> None:
        super().__init__()
        self.embedding = nn.Embedding(config.vocabulary_size, config.word_width, padding_idx=0)
        nn.init.normal_(self.embedding.weight[1:], std=config.word_width**-0.5)
        self.dropout = Dropout(config.embedding_dropout, config.whole_dropout)
        self.tower = Tower(config.word_width, config)

    def forward(
        self, words: Tensor, lengths: Tensor, sentences: Tensor | None = None, sentence_lengths: Tensor | None = None
    ) -> Tensor:
        """The texts' embeddings, [B, H], of unit length; arguments as `levels`."""
        return unit(self.levels(words, lengths, sentences, sentence_lengths).top)

    def levels(
        self, words: Tensor, lengths: Tensor, sentences: Tensor | None = None, sentence_lengths: Tensor | None = None
    ) -> Levels:
        """words [B, M] ids, lengths [B]; in HSE sentences [B, K, M'] ids, sentence_lengths [B, K], 0 where none is."""
        whole = self.dropout(self.embedding(words))
        parts = None if sentences is None else self._sentences(sentences)
        found: Levels = self.tower(whole, lengths, parts, sentence_lengths)
        return found

    def _sentences(self, sentences: Tensor) -> Tensor:
        vectors: Tensor = self.embedding(sentences)
        dropped: Tensor = self.dropout(vectors.flatten(0, 1))
        return dropped.view_as(vectors)


def unit(x: Tensor) -> Tensor:
    """Vectors [B, H], scaled to length one."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.clamp(2.0**-14, 2.0**15)  # both ends are numbers of FP16
