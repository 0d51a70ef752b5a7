"""JSFusion: two encoders that run once per video and once per sentence, and the matcher that runs once per pair."""

import copy

from torch import Tensor, nn

from jsf.data.lengths import crop_length
from jsf.models.config import JSFusionConfig
from jsf.models.frame_encoder import FrameEncoder
from jsf.models.layers import Dense
from jsf.models.matcher import Matcher
from jsf.models.word_encoder import WordEncoder


class JSFusion(nn.Module):
    """The joint sequence fusion model (Yu, Kim and Kim, ECCV 2018)."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_encoder = FrameEncoder(config)
        self.word_encoder = WordEncoder(config)
        self.matcher = Matcher(config)

    def forward(
        self,
        features: Tensor,
        frame_lengths: Tensor,
        words: Tensor,
        word_lengths: Tensor,
        video_index: Tensor,
        sentence_index: Tensor,
        blanks: Tensor | None = None,
    ) -> Tensor:
        """Encodes features [V, 40, D] and words [S, 40], and scores the pairs of the two index lists, as `Matcher`.

        What padding does not change is computed for as many steps as the batch's longest video and sentence have.
        """
        videos = self.frame_encoder(features, frame_lengths)
        sentences = self.encode_words(words, word_lengths)
        return self.match(videos, frame_lengths, sentences, word_lengths, video_index, sentence_index, blanks)

    def encode_words(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Words [S, 40] and lengths [S] -> encoded sentences [S, M, J], cropped where that is exact."""
        sentences: Tensor = self.word_encoder(words if self._whole else crop(words, lengths), lengths)
        return sentences

    @property
    def _whole(self) -> bool:
        """Whether padding counts: in training, where batch norm's statistics do not leave it out."""
        return self.training and self.config.norm_padding

    def match(
        self,
        videos: Tensor,
        frame_lengths: Tensor,
        sentences: Tensor,
        word_lengths: Tensor,
        video_index: Tensor,
        sentence_index: Tensor,
        blanks: Tensor | None = None,
    ) -> Tensor:
        """Scores encoded videos [V, 40, J] and sentences [S, M, J] as `Matcher` does, cropped where that is exact."""
        if not self._whole:
            videos = crop(videos, frame_lengths, self.config.left_padded)
            sentences = crop(sentences, word_lengths)
        scores: Tensor = self.matcher(
            videos, frame_lengths, sentences, word_lengths, video_index, sentence_index, blanks
        )
        return scores


def crop(encoded: Tensor, lengths: Tensor, left_padded: bool = False) -> Tensor:
    """Drops the steps [B, N, J] that no member of the batch needs."""
    steps = crop_length(lengths.cpu().numpy(), even=left_padded)
    return encoded[:, -steps:] if left_padded else encoded[:, :steps]


def folded(model: JSFusion) -> JSFusion:
    """A copy in eval mode with the batch norm of every dense layer folded into its product."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, Dense):
            module.fold()
    return model
