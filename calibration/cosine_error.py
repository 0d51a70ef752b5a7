"""How far the cosines of reduced embedding graphs lie from those of the FP32 graphs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.calibration.error import differences
from jsf.data.clips import stack_clips
from jsf.data.levels import Levels, Limits
from jsf.data.sequence import pad
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import EMBEDDING_GRAPHS, Manifest
from jsf.runtime.embedder import embed


def cosine_error(
    reference: Mapping[str, Path], reduced: Mapping[str, Path], samples: Mapping[str, Levels]
) -> dict[str, float]:
    """Scores every sample video with every sample text with both sets of graphs, on ONNX Runtime's CPU.

    Args:
        reference: graph name -> FP32 graph.
        reduced: graph name -> graph of the reduced precision.
        samples: graph name -> its inputs.

    Returns:
        `score_error_max`, `score_error_mean` and `score_range` (of the reference), as cosines, and `pairs`.

    Raises:
        JsfError: a reduced graph gives NaN or infinity.
    """
    return differences(*(_cosines(graphs, samples).ravel() for graphs in (reference, reduced)))


def generated_levels(manifest: Manifest, vocabulary: int, count: int = 8) -> dict[str, Levels]:
    """Normal features and uniform words of mixed lengths, as `cosine_error` takes them.

    Args:
        manifest: what the graphs take.
        vocabulary: the number of word ids, padding included.
        count: of videos, and of texts.
    """
    random = np.random.default_rng(0)
    limits = Limits(manifest.model == "hse", **manifest.limits)

    def videos(steps: int, number: int) -> list[npt.NDArray[np.float32]]:
        lengths = np.linspace(1, steps, number).astype(int)
        return [random.standard_normal((length, manifest.feature_width), np.float32) for length in lengths]

    def words(steps: int, *shape: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        lengths = random.integers(1, steps + 1, shape, np.int32)
        ids = random.integers(1, vocabulary, (*shape, steps), np.int32)
        return ids * (np.arange(steps) < lengths[..., None]), lengths

    frames, text = pad(videos(limits.frames, count), limits.frames), words(limits.text_words, count)
    if not limits.hierarchical:
        return {"video_encoder": Levels(*frames), "text_encoder": Levels(*text)}
    places = np.linspace(1, limits.clips, count).astype(int)
    clips = stack_clips([videos(limits.frames, number) for number in places], limits.frames, limits.clips)
    sentences, lengths = words(limits.words, count, limits.clips)
    there = np.arange(limits.clips) < places[:, None]
    return {
        "video_encoder": Levels(*frames, *clips),
        "text_encoder": Levels(*text, sentences * there[..., None], (lengths * there).astype(np.int32)),
    }


def _cosines(graphs: Mapping[str, Path], samples: Mapping[str, Levels]) -> npt.NDArray[np.float32]:
    """[V, S]."""
    videos, texts = (embed(OnnxRuntimeGraph(graphs[name]), name, samples[name]) for name in EMBEDDING_GRAPHS)
    return videos @ texts.T
