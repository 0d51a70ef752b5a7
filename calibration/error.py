"""How far the scores of reduced graphs lie from those of the FP32 graphs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.sequence import MAX_STEPS, pad
from jsf.data.task_names import FILLS
from jsf.data.vocabulary import BLANK_ID
from jsf.runtime.backends.base import Arrays
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import Manifest


def score_error(reference: Mapping[str, Path], reduced: Mapping[str, Path], samples: Arrays) -> dict[str, float]:
    """Scores every sample video with every sample sentence with both sets of graphs, on ONNX Runtime's CPU.

    Args:
        reference: graph name -> FP32 graph.
        reduced: graph name -> graph of the reduced precision.
        samples: `features` [V, 40, D], `frame_lengths` [V], `words` [S, 40] and `word_lengths` [S]; for graphs that
            fill blanks `blanks` [S] too, and each pair then has a score for every word.

    Returns:
        `score_error_max`, `score_error_mean` and `score_range` (of the reference), in units of the score, and `pairs`.

    Raises:
        JsfError: a reduced graph gives NaN or infinity.
    """
    return differences(*(np.concatenate(list(_scores(graphs, samples))) for graphs in (reference, reduced)))


def differences(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> dict[str, float]:
    """How far scores in reduced precision lie from those of FP32, as `score_error`.

    Raises:
        JsfError: a score is NaN or infinity.
    """
    if not np.isfinite(found).all():
        raise JsfError(
            f"{np.count_nonzero(~np.isfinite(found))} of {found.size} scores are not finite in reduced precision: "
            f"an activation leaves the range of FP16 ({np.finfo(np.float16).max:,.0f}).",
            "Score with --precision fp32.",
        )
    error = np.abs(expected - found)
    return {
        "score_error_max": float(error.max()),
        "score_error_mean": float(error.mean()),
        "score_range": float(np.ptp(expected)),
        "pairs": len(error),
    }


def generated_samples(manifest: Manifest, vocabulary: int, count: int = 8) -> Arrays:
    """Normal features and uniform words, zero past lengths spread evenly over 1..40, as `score_error` takes them.

    Args:
        manifest: what the graphs take.
        vocabulary: the number of word ids, padding included.
        count: of videos, and of sentences.
    """
    random = np.random.default_rng(0)
    lengths = np.linspace(1, MAX_STEPS, count).astype(np.int32)
    videos = [random.standard_normal((n, manifest.feature_width), np.float32) for n in lengths]
    words = random.integers(1, vocabulary, (count, MAX_STEPS), np.int32) * (np.arange(MAX_STEPS) < lengths[:, None])
    samples = {
        "features": pad(videos, left=manifest.left_padded)[0],
        "frame_lengths": lengths,
        "words": words,
        "word_lengths": lengths,
    }
    if manifest.task == FILLS:
        samples["blanks"] = lengths // 2
        words[np.arange(count), lengths // 2] = BLANK_ID
    return samples


def _scores(graphs: Mapping[str, Path], samples: Arrays) -> Iterator[npt.NDArray[np.float32]]:
    """The scores [S], or [S, |V|], of each video with all sentences: a batch of one video fits any machine's memory."""
    video_lengths, sentence_lengths = samples["frame_lengths"], samples["word_lengths"]
    frame_encoder, word_encoder = OnnxRuntimeGraph(graphs["frame_encoder"]), OnnxRuntimeGraph(graphs["word_encoder"])
    videos = frame_encoder.run({"features": samples["features"], "lengths": video_lengths})
    sentences = word_encoder.run({"words": samples["words"], "lengths": sentence_lengths})
    matcher = OnnxRuntimeGraph(graphs["matcher"])
    encoded = {**videos, **sentences, "video_lengths": video_lengths, "sentence_lengths": sentence_lengths}
    if "blanks" in samples:
        encoded["blanks"] = samples["blanks"]
    order = np.arange(len(sentence_lengths), dtype=np.int32)
    for video in track(range(len(video_lengths)), "measuring the score error", len(video_lengths)):
        yield matcher.run({**encoded, "video_index": np.full_like(order, video), "sentence_index": order})["scores"]
