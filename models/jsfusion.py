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
    ) -> Tensor:
        """Encodes features [V, 40, D] and words [S, 40], and scores the pairs of the two index lists: [P].

        The encoders see all 40 steps; the matcher is cropped to the batch's longest video and sentence, which is exact.
        """
        videos = self.frame_encoder(features, frame_lengths)
        sentences = self.word_encoder(words, word_lengths)
        scores: Tensor = self.matcher(
            crop(videos, frame_lengths),
            frame_lengths,
            crop(sentences, word_lengths),
            word_lengths,
            video_index,
            sentence_index,
        )
        return scores


def crop(encoded: Tensor, lengths: Tensor) -> Tensor:
    """Drops the steps [B, N, J] that no member of the batch needs."""
    return encoded[:, : crop_length(lengths.cpu().numpy())]


def folded(model: JSFusion) -> JSFusion:
    """A copy in eval mode with every batch norm folded into its product."""
    model = copy.deepcopy(model).eval()
    for module in model.modules():
        if isinstance(module, Dense):
            module.fold()
    return model
