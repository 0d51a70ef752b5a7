"""Model parts -> ONNX graphs with the names and shapes that the runtime expects."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from jsf.data.sequence import MAX_STEPS
from jsf.data.vocabulary import BLANK_ID
from jsf.export.tracing import Shapes, write_graph
from jsf.models.jsfusion import JSFusion
from jsf.models.layers import valid_steps
from jsf.models.matcher import Matcher
from jsf.runtime.bundle import MAPS


@dataclass(frozen=True)
class Samples:
    """Inputs of the whole model, random and of mixed lengths, on which it is traced and compared.

    Attributes:
        features: [V, 40, D]; frame_lengths: [V].
        words: [S, 40]; word_lengths: [S].
        video_index, sentence_index: [P] each.
        blanks: [S], for fill-in-the-blank.
    """

    features: Tensor
    frame_lengths: Tensor
    words: Tensor
    word_lengths: Tensor
    video_index: Tensor
    sentence_index: Tensor
    blanks: Tensor | None

    @property
    def inputs(self) -> dict[str, dict[str, Tensor]]:
        """Encoder -> its inputs, and the blanks with the words."""
        blanks = {} if self.blanks is None else {"blanks": self.blanks}
        return {
            "frame_encoder": {"features": self.features, "lengths": self.frame_lengths},
            "word_encoder": {"words": self.words, "lengths": self.word_lengths, **blanks},
        }


def draw_samples(model: JSFusion, videos: int = 7, sentences: int = 12, seed: int = 0) -> Samples:
    """Draws inputs as the model expects them: features around its own standardization, lengths 1 and, once each, 40.

    Features are zero where padded and numbers of bfloat16, whose other half packs well: they go into the bundle.
    """
    random = torch.Generator().manual_seed(seed)
    encoder = model.frame_encoder
    frame_lengths = torch.randint(1, MAX_STEPS, (videos,), generator=random, dtype=torch.int32)
    word_lengths = torch.randint(1, MAX_STEPS, (sentences,), generator=random, dtype=torch.int32)
    frame_lengths[:2] = word_lengths[-2:] = torch.tensor([1, MAX_STEPS])
    noise = torch.randn(videos, MAX_STEPS, model.config.feature_width, generator=random)
    spread = torch.where(encoder.feature_scale > 0, 1 / encoder.feature_scale, 0.0)
    features = (noise.abs() * spread + encoder.feature_mean).bfloat16().float()
    valid = valid_steps(frame_lengths, MAX_STEPS, model.config.left_padded)
    words = torch.randint(1, model.config.vocabulary_size, (sentences, MAX_STEPS), generator=random, dtype=torch.int32)
    padding = torch.arange(MAX_STEPS) >= word_lengths[:, None]
    words = words.masked_fill(padding, 0)
    blanks = None
    if model.config.fills_blanks:
        blanks = (torch.rand(sentences, generator=random) * word_lengths).int()
        words[torch.arange(sentences), blanks.long()] = BLANK_ID
    pairs = torch.cartesian_prod(*(torch.arange(n, dtype=torch.int32) for n in (videos, sentences)))
    return Samples(
        features * valid[..., None],
        frame_lengths,
        words,
        word_lengths,
        pairs[:, 0].contiguous(),
        pairs[:, 1].contiguous(),
        blanks,
    )


def write_frame_encoder(model: JSFusion, samples: Samples, path: Path) -> None:
    """frame_encoder.onnx: features [B, 40, D], lengths [B] -> videos [B, 40, J]."""
    inputs = {"features": samples.features, "lengths": samples.frame_lengths}
    write_graph(model.frame_encoder, inputs, ({0: "B"}, {0: "B"}), ["videos"], path)


def write_word_encoder(model: JSFusion, samples: Samples, path: Path) -> None:
    """word_encoder.onnx: words [B, 40] int32, lengths [B] -> sentences [B, 40, J]."""
    inputs = {"words": samples.words, "lengths": samples.word_lengths}
    write_graph(model.word_encoder, inputs, ({0: "B"}, {0: "B"}), ["sentences"], path)


def crops(model: JSFusion) -> bool:
    """Whether a pair keeps its score at the sizes of `data.lengths`: LSTM-fusion reads the last step itself."""
    return model.config.fusion == "jst-chd"


def write_matcher(model: JSFusion, samples: Samples, path: Path, symbolic: bool) -> None:
    """matcher.onnx: a list of pairs -> scores [P], or [P, |V|]; `symbolic` leaves the frame and word lengths open.

    What a map of attention shows is named in the graph, and not an output: a reader can make it one (`MAPS`).
    """
    with torch.no_grad():
        videos = model.frame_encoder(samples.features, samples.frame_lengths)
        sentences = model.word_encoder(samples.words, samples.word_lengths)
    if symbolic:  # the tracer takes equal lengths for the same symbol
        sentences = sentences[:, :-1]
    inputs = {
        "videos": videos,
        "video_lengths": samples.frame_lengths,
        "sentences": sentences,
        "sentence_lengths": samples.word_lengths,
        "video_index": samples.video_index,
        "sentence_index": samples.sentence_index,
    }
    frames, words = ({1: "frames"}, {1: "words"}) if symbolic else ({}, {})
    shapes: Shapes = ({0: "V", **frames}, {0: "V"}, {0: "S", **words}, {0: "S"}, {0: "P"}, {0: "P"})
    if samples.blanks is not None:
        inputs["blanks"], shapes = samples.blanks, (*shapes, {0: "S"})
    maps = MAPS if model.config.fusion == "jst-chd" else ()
    write_graph(Explained(model.matcher), inputs, (shapes,), ["scores", *maps], path)


class Explained(nn.Module):
    """A matcher with the parts of its maps as outputs of their own."""

    def __init__(self, matcher: Matcher) -> None:
        super().__init__()
        self.matcher = matcher

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The scores, then the attention, the stages and the gates, where there are any."""
        scores, maps = self.matcher.explain(*inputs)
        return (scores, maps.attention, *maps.stages, *maps.gates) if maps.stages else (scores,)
