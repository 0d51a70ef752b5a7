"""Does each exported graph compute what PyTorch does?"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.errors import JsfError
from jsf.export.graphs import Samples
from jsf.models.jsfusion import JSFusion
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.matching import Encoded, match

LIMIT = 1e-4
"""Largest difference that is accepted, relative to the range of the graph's output over the samples."""


@torch.no_grad()
def measure_parity(model: JSFusion, samples: Samples, path: Callable[[str], Path]) -> dict[str, float]:
    """Runs each graph on ONNX Runtime and compares it with PyTorch.

    Args:
        model: in eval mode.
        samples: at least 64 pairs of mixed lengths.
        path: the file of each graph, by name.

    Returns:
        Graph -> largest difference over the output's range.

    Raises:
        JsfError: a difference is above 1e-4.
    """
    s = samples
    videos = model.frame_encoder(s.features, s.frame_lengths)
    sentences = model.word_encoder(s.words, s.word_lengths)
    lengths = {"video_lengths": s.frame_lengths, "sentence_lengths": s.word_lengths}
    index = {"video_index": s.video_index, "sentence_index": s.sentence_index}
    blanks = {} if s.blanks is None else {"blanks": s.blanks}
    scores = model.matcher(videos=videos, sentences=sentences, **lengths, **index, **blanks)
    encoded = (
        Encoded(videos.numpy(), s.frame_lengths.numpy(), model.config.left_padded),
        Encoded(sentences.numpy(), s.word_lengths.numpy(), blanks=None if s.blanks is None else s.blanks.numpy()),
    )
    # The symbolic matcher is compared as it runs: each pair at the smallest size that holds it.
    pairs = s.video_index.numpy(), s.sentence_index.numpy()
    buckets = match(OnnxRuntimeGraph(path("matcher.buckets")), *encoded, *pairs)
    errors = {
        "frame_encoder": compare(path("frame_encoder"), videos, features=s.features, lengths=s.frame_lengths),
        "word_encoder": compare(path("word_encoder"), sentences, words=s.words, lengths=s.word_lengths),
        "matcher": compare(path("matcher"), scores, videos=videos, sentences=sentences, **lengths, **index, **blanks),
        "matcher.buckets": relative_error(buckets, scores.numpy()),
    }
    return accepted(errors)


def accepted(errors: dict[str, float]) -> dict[str, float]:
    """The differences; raises JsfError where one is above 1e-4."""
    if wrong := {name: error for name, error in errors.items() if not error <= LIMIT}:
        found = ", ".join(f"{name} by {error:.1e}" for name, error in wrong.items())
        raise JsfError(
            f"exported graphs differ from PyTorch: {found} of the output's range; at most {LIMIT:.0e} is accepted.",
            "A model whose scores hardly differ cannot be told from rounding: train it first.",
        )
    return errors


def compare(path: Path, expected: Tensor, **inputs: Tensor) -> float:
    """The largest difference of a graph's output from PyTorch's, over the range of that."""
    outputs = OnnxRuntimeGraph(path).run({name: value.numpy() for name, value in inputs.items()})
    return relative_error(next(iter(outputs.values())), expected.numpy())


def relative_error(found: npt.NDArray[np.floating], expected: npt.NDArray[np.floating]) -> float:
    """Largest difference, over the range of `expected`."""
    return float(np.abs(found - expected).max() / np.ptp(expected))
