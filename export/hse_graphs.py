"""HSE and FSE -> two ONNX graphs with the names and shapes that the runtime expects, compared with PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from jsf.export.parity import accepted, compare
from jsf.export.tracing import write_graph
from jsf.models.hse.hse import HSE
from jsf.runtime.embedder import INPUTS

Samples: TypeAlias = dict[str, dict[str, Tensor]]
"""Graph -> its inputs by name: random, and of mixed lengths."""

OUTPUTS = {"video_encoder": "videos", "text_encoder": "texts"}


def draw_samples(model: HSE, videos: int = 7, texts: int = 12, seed: int = 0) -> Samples:
    """Draws videos and texts as the model expects them: features around its own standardization, lengths 1 to all.

    They are zero where padded, and features are numbers of bfloat16, as those of `graphs.draw_samples`.
    """
    random = torch.Generator().manual_seed(seed)
    config, encoder = model.config, model.video_encoder
    spread = torch.where(encoder.feature_scale > 0, 1 / encoder.feature_scale, 0.0)

    def lengths(most: int, *shape: int) -> Tensor:
        drawn = torch.randint(1, most + 1, shape, generator=random, dtype=torch.int32)
        drawn.view(-1)[:2] = torch.tensor([1, most])
        return drawn

    def features(lengths: Tensor) -> Tensor:
        noise = torch.randn(*lengths.shape, config.frames, config.feature_width, generator=random)
        drawn = (noise * spread + encoder.feature_mean).bfloat16().float()
        return drawn * _within(lengths, config.frames)[..., None]

    def words(lengths: Tensor, most: int) -> Tensor:
        ids = torch.randint(1, config.vocabulary_size, (*lengths.shape, most), generator=random, dtype=torch.int32)
        return ids * _within(lengths, most)

    def parts(most: int, count: int) -> Tensor:
        there = _within(lengths(config.clips, count), config.clips)
        drawn = lengths(most, count, config.clips) * there
        drawn[1, 0] = most  # the second sample has all parts: one of them is as long as any
        return drawn

    frames, text = lengths(config.frames, videos), lengths(config.text_words, texts)
    drawn = {"video_encoder": [features(frames), frames], "text_encoder": [words(text, config.text_words), text]}
    if config.hierarchical:
        clips, sentences = parts(config.frames, videos), parts(config.words, texts)
        drawn["video_encoder"] += [features(clips), clips]
        drawn["text_encoder"] += [words(sentences, config.words), sentences]
    return {name: dict(zip(INPUTS[name], tensors, strict=False)) for name, tensors in drawn.items()}


def _within(lengths: Tensor, most: int) -> Tensor:
    """Which of `most` steps are valid: lengths [...] -> [..., most] bool."""
    return torch.arange(most) < lengths[..., None]


def write_encoder(model: HSE, samples: Samples, name: str, path: Path) -> None:
    """video_encoder.onnx: features [E, N, D], lengths [E] -> videos [E, H]; text_encoder.onnx: words [E, M] -> texts.

    A hierarchical model's take clips [E, K, N, D] and clip_lengths [E, K], or sentences [B, K, M'] and theirs, too.
    """
    inputs = samples[name]
    write_graph(getattr(model, name), inputs, tuple({0: "E"} for _ in inputs), [OUTPUTS[name]], path)


@torch.no_grad()
def measure_parity(model: HSE, samples: Samples, path: Callable[[str], Path]) -> dict[str, float]:
    """Graph -> largest difference from PyTorch, over the output's range; `model` is in eval mode.

    Raises:
        JsfError: a difference is above 1e-4.
    """
    return accepted(
        {
            name: compare(path(name), getattr(model, name)(*inputs.values()), **inputs)
            for name, inputs in samples.items()
        }
    )
