"""The matcher: JST and CHD over a list of pairs. It is all that runs per pair."""

from torch import Tensor, nn

from jsf.models.chd import ConvolutionalHierarchicalDecoder
from jsf.models.config import JSFusionConfig
from jsf.models.jst import JointSemanticTensor
from jsf.models.layers import valid_steps


class Matcher(nn.Module):
    """Scores pairs of encoded videos and encoded sentences."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.jst = JointSemanticTensor(config)
        self.chd = ConvolutionalHierarchicalDecoder(config)

    def forward(
        self,
        videos: Tensor,
        video_lengths: Tensor,
        sentences: Tensor,
        sentence_lengths: Tensor,
        video_index: Tensor,
        sentence_index: Tensor,
    ) -> Tensor:
        """Scores pair p = (video_index[p], sentence_index[p]).

        Args:
            videos: [V, N, J] encoded frames, N >= 7; cropping them to the longest valid length changes no score.
            video_lengths: [V] integers.
            sentences: [S, M, J] encoded words, M >= 7.
            sentence_lengths: [S] integers.
            video_index: [P] integers.
            sentence_index: [P] integers.

        Returns:
            [P] scores, raw logits; bigger is better.
        """
        frames = valid_steps(video_lengths.index_select(0, video_index), videos.shape[1])  # [P, N]
        words = valid_steps(sentence_lengths.index_select(0, sentence_index), sentences.shape[1])  # [P, M]
        cells = frames[:, :, None] & words[:, None]  # [P, N, M]
        joint = self.jst(videos.index_select(0, video_index), sentences.index_select(0, sentence_index), cells)
        scores: Tensor = self.chd(joint, frames, words)
        return scores
