"""How many pairs a training step takes per second, against the plain loop that encodes and matches each pair at 40x40.

Usage: python benchmarks/training_speed.py [--preset paper] [--videos 5] [--rounds 3]

The variants run in turn, and the medians' ratios are printed. "kept" is what the step holds for its way back.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset
from jsf.training.losses import ranking_loss
from jsf.training.module import frozen_statistics

FEATURES, WORDS = 2176, 5000


def main() -> None:
    """Times the variants in turn and prints them side by side."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--preset", default="paper")
    options.add_argument("--videos", type=int, default=5, help="videos a step, each with a caption; all pairs count")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    torch.manual_seed(0)
    model = JSFusion(preset(chosen.preset, "retrieval", FEATURES, WORDS)).train()
    batch = draw(chosen.videos)
    variants: dict[str, Callable[[], Tensor]] = {
        "plain: each pair encoded, 40x40": lambda: plain(model, *batch),
        "encodings reused, 40x40": lambda: reused(model, *batch, cropped=False),
        "and cropped (what jsf does)": lambda: reused(model, *batch, cropped=True),
        "and in bfloat16": lambda: bfloat16(model, *batch),
        "cropped, checkpointing": lambda: checkpointed(model, *batch),
    }
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    kept: dict[str, int] = {}
    for _ in range(chosen.rounds):
        for name, variant in variants.items():
            start = time.perf_counter()
            kept[name] = step(model, variant, chosen.videos)
            seconds[name].append(time.perf_counter() - start)
    show(chosen, {name: statistics.median(times) for name, times in seconds.items()}, kept)


def draw(videos: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Whole videos of 40 frames, and captions as long as MSR-VTT's: 9 words on average, 3 to 20."""
    random = np.random.default_rng(0)
    lengths = torch.from_numpy(random.poisson(9, videos).clip(3, 20))
    words = torch.from_numpy(random.integers(1, WORDS, (videos, 40)))
    words[torch.arange(40) >= lengths[:, None]] = 0
    return torch.randn(videos, 40, FEATURES), torch.full((videos,), 40), words, lengths


def pairs_of(count: int) -> tuple[Tensor, Tensor]:
    """All pairs of `count` videos with as many captions."""
    videos, captions = torch.cartesian_prod(torch.arange(count), torch.arange(count)).T
    return videos, captions


def plain(model: JSFusion, features: Tensor, frames: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """Encodes the video and the caption of every pair, and matches at 40x40."""
    v, c = pairs_of(len(features))
    videos, captions = model.frame_encoder(features[v], frames[v]), model.word_encoder(words[c], lengths[c])
    order = torch.arange(len(v))
    scores: Tensor = model.matcher(videos, frames[v], captions, lengths[c], order, order)
    return scores


def reused(model: JSFusion, features: Tensor, frames: Tensor, words: Tensor, lengths: Tensor, cropped: bool) -> Tensor:
    """Encodes each video and each caption once, and matches all pairs at 40x40, or cropped."""
    videos = model.frame_encoder(features, frames)
    captions = model.encode_words(words, lengths) if cropped else model.word_encoder(words, lengths)
    match = model.match if cropped else model.matcher
    scores: Tensor = match(videos, frames, captions, lengths, *pairs_of(len(features)))
    return scores


def bfloat16(model: JSFusion, *batch: Tensor) -> Tensor:
    """As jsf does with `--trainer precision=bf16-mixed`."""
    with torch.autocast("cpu", torch.bfloat16):
        return reused(model, *batch, cropped=True)


def checkpointed(model: JSFusion, features: Tensor, frames: Tensor, words: Tensor, lengths: Tensor) -> Tensor:
    """As jsf does with `--set checkpointing=true`."""
    videos, captions = model.frame_encoder(features, frames), model.encode_words(words, lengths)
    contexts = nullcontext(), frozen_statistics(model)
    inputs = (videos, frames, captions, lengths, *pairs_of(len(features)))
    scores: Tensor = checkpoint(model.match, *inputs, use_reentrant=False, context_fn=lambda: contexts)
    return scores


def step(model: JSFusion, variant: Callable[[], Tensor], videos: int) -> int:
    """One forward and backward pass; returns the bytes that were kept in between, beside the weights."""
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        scores = variant().float().view(videos, videos)
    held = sum(kept.values())
    torch.autograd.backward(ranking_loss(scores, ~torch.eye(videos, dtype=torch.bool), 10.0))
    model.zero_grad()
    return held


def show(chosen: argparse.Namespace, seconds: dict[str, float], kept: dict[str, int]) -> None:
    """Prints the medians and their ratios to the first."""
    count, base = chosen.videos**2, next(iter(seconds.values()))
    table = Table(
        title=f"{chosen.preset}: {count} pairs a step, {torch.get_num_threads()} threads", title_justify="left"
    )
    for name in ("", "s a step", "pairs/s", "speed-up", "kept MB"):
        table.add_column(name, justify="right" if name else "left")
    for name, time_taken in seconds.items():
        cells = (
            f"{time_taken:.2f}",
            f"{count / time_taken:.1f}",
            f"{base / time_taken:.1f}x",
            f"{kept[name] / 1e6:,.0f}",
        )
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
