"""How far the scores of reduced graphs lie from those of the FP32 graphs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.calibration.inputs import Pairs
from jsf.calibration.scoring import score_pairs
from jsf.data.errors import JsfError
from jsf.runtime.backends.base import Arrays
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import EMBEDDING_GRAPHS


def score_error(
    reference: Mapping[str, Path], reduced: Mapping[str, Path], samples: Pairs | Mapping[str, Arrays]
) -> dict[str, float]:
    """Scores samples with both sets of graphs, on ONNX Runtime's CPU.

    Args:
        reference: graph name -> FP32 graph.
        reduced: graph name -> graph of the reduced precision.
        samples: pairs; or for an embedding its graphs' inputs, whose videos are all scored with all texts, by cosine.

    Returns:
        `score_error_max`, `score_error_mean` and `score_range` (of the reference), in units of the score, and `pairs`.

    Raises:
        JsfError: a reduced graph gives NaN or infinity.
    """
    if isinstance(samples, Pairs):
        return differences(*(score_pairs(graphs, samples) for graphs in (reference, reduced)))
    return differences(*(_cosines(graphs, samples).ravel() for graphs in (reference, reduced)))


def differences(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> dict[str, float]:
    """How far scores in reduced precision lie from those of FP32, as `score_error`.

    Raises:
        JsfError: a score is NaN or infinity.
    """
    if not np.isfinite(expected).all():
        raise JsfError(
            "the FP32 scores are not finite.", "Check the features, and evaluate: jsf evaluate --precision fp32"
        )
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


def _cosines(graphs: Mapping[str, Path], samples: Mapping[str, Arrays]) -> npt.NDArray[np.float32]:
    """[V, S]."""
    loaded = {name: OnnxRuntimeGraph(graphs[name]) for name in EMBEDDING_GRAPHS}
    videos, texts = (
        graph.run(samples[name])[graph.outputs[0].name].astype(np.float32) for name, graph in loaded.items()
    )
    return videos @ texts.T
