"""The captioner: what an HSE or an FSE makes of a clip and of its video, told as a sentence by a GRU."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from jsf.data.errors import JsfError
from jsf.models.hse.beam_search import beam_search
from jsf.models.hse.config import HSEConfig
from jsf.models.hse.hse import VideoEncoder


@dataclass(frozen=True)
class CaptionerConfig:
    """A captioner.

    Attributes:
        preset: the name that this configuration goes by.
        embedding: of the model whose video encoder it has.
        vocabulary_size: the words, and the end of a sentence.
        segments: equal clips that a video is cut into where its clips are not known.
        words: of a sentence, at most.
        word_width: width of a word vector.
        hidden: width of the decoder's states.
        dropout: drop rate of the embeddings, the word vectors and the states.
    """

    preset: str
    embedding: HSEConfig
    vocabulary_size: int
    segments: int = 1
    words: int = 40
    word_width: int = 300
    hidden: int = 1024
    dropout: float = 0.5

    @classmethod
    def of(cls, embedding: dict[str, Any], **fields: Any) -> "CaptionerConfig":
        """The configuration that `dataclasses.asdict` made these of."""
        return cls(embedding=HSEConfig(**embedding), **fields)

    @property
    def task(self) -> str:
        """What the model is for."""
        return "captioning"

    def __post_init__(self) -> None:
        """Raises JsfError where a size is none, or the drop rate is no rate."""
        for name in ("vocabulary_size", "segments", "words", "word_width", "hidden"):
            if getattr(self, name) < 1:
                raise JsfError(f"{name} is {getattr(self, name)}, expected 1 or more.")
        if not 0 <= self.dropout < 1:
            raise JsfError(f"dropout is {self.dropout}, expected 0 or more and below 1.")


PRESETS: dict[str, dict[str, Any]] = {"paper": {}, "small": {"hidden": 512}}
"""Preset -> what differs from `CaptionerConfig`."""


def preset(name: str, embedding: HSEConfig, vocabulary_size: int, segments: int) -> CaptionerConfig:
    """The configuration of a captioner.

    Args:
        name: "paper" or "small".
        embedding: as `CaptionerConfig`, like the others.
        vocabulary_size: words and end.
        segments: of a video.

    Raises:
        JsfError: there is no such preset.
    """
    if name not in PRESETS:
        raise JsfError(f"there is no preset '{name}' of captioning, expected one of: {', '.join(PRESETS)}.")
    return replace(CaptionerConfig(name, embedding, vocabulary_size, segments), **PRESETS[name])


class Captioner(nn.Module):
    """The video encoder of a trained embedding, which stays as it is, and a decoder that learns to tell of its clips.

    The decoder sees a clip as the lower level embeds it, beside the embedding of the whole video: what HSE knows of the
    other clips, or FSE of all frames. Neither is scaled to unit length.
    """

    def __init__(self, config: CaptionerConfig) -> None:
        super().__init__()
        self.config = config
        self.video_encoder = VideoEncoder(config.embedding).requires_grad_(False)
        self.decoder = SentenceDecoder(2 * config.embedding.hidden, config)

    def train(self, mode: bool = True) -> "Captioner":
        """Training mode for the decoder alone: the encoder drops nothing."""
        super().train(mode)
        self.video_encoder.eval()
        return self

    def embed(self, videos: tuple[Tensor, ...], clips: Tensor, lengths: Tensor, owners: Tensor) -> Tensor:
        """What the decoder is given of each clip.

        Args:
            videos: of B videos, as `VideoEncoder.levels` takes them.
            clips: [C, N, D], all of their clips; a hierarchical encoder sees the first ones of a video among `videos`.
            lengths: [C].
            owners: [C], the video of each.

        Returns:
            [C, 2H].
        """
        whole = self.video_encoder.levels(*videos).top
        parts = self.video_encoder.tower.low(self.video_encoder.standardized(clips), lengths)
        return torch.cat([parts, whole[owners]], dim=-1)

    def tell(self, embeddings: Tensor, width: int) -> Tensor:
        """Embeddings [C, 2H] of clips -> ids [C, L] of a sentence about each, 0 where it is over, by beam search."""
        view = self.decoder.begin(embeddings).repeat_interleave(width, 0)
        found, _ = beam_search(
            lambda words, states: self.decoder.step(words, states, view), view, width, self.config.words
        )
        return found


class SentenceDecoder(nn.Module):
    """A GRU that begins with what it is to tell of, and is given it again beside each word; id 0 begins and ends."""

    def __init__(self, inputs: int, config: CaptionerConfig) -> None:
        super().__init__()
        self.view = nn.Linear(inputs, config.hidden)
        self.embedding = nn.Embedding(config.vocabulary_size, config.word_width)
        nn.init.normal_(self.embedding.weight, std=config.word_width**-0.5)
        self.gru = nn.GRU(config.word_width + config.hidden, config.hidden, batch_first=True)
        self.output = nn.Linear(config.hidden, config.vocabulary_size)
        self.dropout = nn.Dropout(config.dropout)

    def begin(self, embeddings: Tensor) -> Tensor:
        """[C, inputs] -> [C, hidden], in (-1, 1) as a GRU's states are."""
        return torch.tanh(self.view(self.dropout(embeddings)))

    def forward(self, embeddings: Tensor, words: Tensor) -> Tensor:
        """Embeddings [C, inputs] and ids [C, M] of the words before each place -> logits [C, M, |V|] of those there."""
        view = self.begin(embeddings)
        logits: Tensor = self.output(self._states(words, view, view)[0])
        return logits

    def step(self, words: Tensor, states: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Last words [C], states and view [C, hidden] -> log-probabilities [C, |V|] of the next word, and states."""
        found, after = self._states(words[:, None], states, view)
        return self.output(found[:, 0]).log_softmax(-1), after

    def _states(self, words: Tensor, states: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        vectors = self.dropout(self.embedding(words))
        inputs = torch.cat([vectors, view[:, None].expand(-1, words.shape[1], -1)], dim=-1)
        found, after = self.gru(inputs, states[None].contiguous())
        return self.dropout(found), after[0]
