"""The matcher: JST and CHD over a list of pairs. It is all that runs per pair."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from jsf.models.chd import ConvolutionalHierarchicalDecoder
from jsf.models.config import JSFusionConfig
from jsf.models.head import Head
from jsf.models.jst import JointSemanticTensor
from jsf.models.layers import valid_steps


class Maps(NamedTuple):
    """What a matcher looked at, as in the paper's Fig. 3.

    Attributes:
        attention: JST's weights [P, N, M].
        stages: CHD's output of each stage, [P, C, N', M'].
        gates: its gates [P, 1, N', M'].
    """

    attention: Tensor
    stages: list[Tensor]
    gates: list[Tensor]


class JointSequenceFusion(nn.Module):
    """JST, then CHD."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.jst = JointSemanticTensor(config)
        self.chd = ConvolutionalHierarchicalDecoder(config)
        self.width = self.chd.width

    def forward(self, videos: Tensor, sentences: Tensor, frames: Tensor, words: Tensor) -> tuple[Tensor, Maps]:
        """Videos [P, N, J], sentences [P, M, J], valid frames [P, N] and words [P, M] bool -> [P, C], and the maps."""
        joint, attention = self.jst(videos, sentences, frames[:, :, None] & words[:, None])
        matched, stages, gates = self.chd(joint, frames, words)
        return matched, Maps(attention, stages, gates)


class FinalStates(nn.Module):
    """The product of both encoders' states at the last step: the LSTM-fusion baseline, without JST and CHD."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.width = config.joint

    def forward(self, videos: Tensor, sentences: Tensor, frames: Tensor, words: Tensor) -> tuple[Tensor, Maps]:
        """As `JointSequenceFusion`; there is nothing to show in a map."""
        return _last(videos, frames) * _last(sentences, words), Maps(videos[:, :0, :0], [], [])


class Matcher(nn.Module):
    """Scores pairs of encoded videos and encoded sentences."""

    def __init__(self, config: JSFusionConfig) -> None:
        super().__init__()
        self.left_padded, self.blank_only = config.left_padded, config.blank_only
        self.fills_blanks, self.video_skip = config.fills_blanks, config.video_skip
        self.fusion = JointSequenceFusion(config) if config.fusion == "jst-chd" else FinalStates(config)
        self.head = Head(self.fusion.width, config)

    def forward(
        self,
        videos: Tensor,
        video_lengths: Tensor,
        sentences: Tensor,
        sentence_lengths: Tensor,
        video_index: Tensor,
        sentence_index: Tensor,
        blanks: Tensor | None = None,
    ) -> Tensor:
        """Scores pair p = (video_index[p], sentence_index[p]).

        Args:
            videos: [V, N, J] encoded frames, N >= 7; cropping them to the longest valid length changes no score.
            video_lengths: [V] integers.
            sentences: [S, M, J] encoded words, M >= 7.
            sentence_lengths: [S] integers.
            video_index: [P] integers.
            sentence_index: [P] integers.
            blanks: [S] integers, the position of each sentence's blank: fill-in-the-blank alone takes them.

        Returns:
            Raw logits; bigger is better: [P] scores, or for fill-in-the-blank [P, |V|], one for each word.
        """
        inputs = (videos, video_lengths, sentences, sentence_lengths, video_index, sentence_index, blanks)
        return self.explain(*inputs)[0]

    def explain(
        self,
        videos: Tensor,
        video_lengths: Tensor,
        sentences: Tensor,
        sentence_lengths: Tensor,
        video_index: Tensor,
        sentence_index: Tensor,
        blanks: Tensor | None = None,
    ) -> tuple[Tensor, Maps]:
        """As `forward`, with what the scores rest on."""
        frames = valid_steps(video_lengths.index_select(0, video_index), videos.shape[1], self.left_padded)  # [P, N]
        words = valid_steps(sentence_lengths.index_select(0, sentence_index), sentences.shape[1])  # [P, M]
        videos, sentences = videos.index_select(0, video_index), sentences.index_select(0, sentence_index)
        blank = None
        if blanks is not None:
            at = blanks.index_select(0, sentence_index)[:, None, None].long()
            blank = sentences.gather(1, at.expand(-1, 1, sentences.shape[2]))  # [P, 1, J]
            if self.blank_only:
                sentences, words = blank, torch.ones_like(words[:, :1])
            blank = blank.squeeze(1)
            if self.video_skip:
                blank = blank + mean_frame(videos, frames, self.left_padded)
        matched, maps = self.fusion(videos, sentences, frames, words)
        scores = self.head(matched, blank)
        return (scores if self.fills_blanks else scores.squeeze(-1)), maps


def mean_frame(videos: Tensor, frames: Tensor, left_padded: bool = False) -> Tensor:
    """The mean [P, J] of encoded frames [P, N, J], zero where not valid [P, N].

    Of an even number the last is left out, unless padding is on the left: CHD does not read it, and a crop may drop it.
    """
    if left_padded:
        return videos.sum(1) / frames.sum(1, keepdim=True)
    followed = frames[:, 2::2, None]  # frames 1, 3, ... count where another comes after
    total = videos[:, ::2].sum(1) + (videos[:, 1:-1:2] * followed).sum(1)
    return total / (frames[:, ::2].sum(1, keepdim=True) + followed.sum(1))


def _last(encoded: Tensor, valid: Tensor) -> Tensor:
    """The encoding [P, J] of each member's last valid step, of encoded [P, N, J] and valid [P, N]."""
    order = torch.arange(valid.shape[1], device=valid.device)
    at = (valid * order).amax(1)[:, None, None]
    return encoded.gather(1, at.expand(-1, 1, encoded.shape[2])).squeeze(1)
