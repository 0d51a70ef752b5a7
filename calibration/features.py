"""What a reduced CNN costs: how far its features lie from those in FP32, and whether that is within the limits."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.calibration.candidate import on_cpu
from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.runtime.backends.base import Arrays
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

Features = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """Frames of videos, as a CNN takes them.

    Attributes:
        count: how many; videos: of how many.
        runs: batches that they are given in.
        batches: each call gives all of them anew, {input: [B, 3, S, S]} at a time.
    """

    count: int
    videos: int
    runs: int
    batches: Callable[[], Iterable[Arrays]]

    def shown(self, label: str) -> Iterator[Arrays]:
        """The batches, with a progress bar."""
        return track(self.batches(), label, self.runs)


@dataclass(frozen=True)
class FeatureLimits:
    """What a reduced CNN may cost.

    Attributes:
        min_cosine: the mean over frames of the cosine of their features with those in FP32.
        least_cosine: of a single frame, of which a video has up to 40.
    """

    min_cosine: float = 0.99
    least_cosine: float = 0.90

    @property
    def least(self) -> float:
        """What is wanted of every frame: never more than of their mean."""
        return min(self.min_cosine, self.least_cosine)

    def __post_init__(self) -> None:
        """Raises JsfError where a limit is no cosine, with which everything or nothing would pass."""
        if not -1 <= self.min_cosine <= 1:
            raise JsfError(f"--min-cosine is {self.min_cosine}, expected a number from -1 to 1.")


@dataclass(frozen=True)
class FeatureReport:
    """What a variant of a CNN costs, on frames of videos that calibration did not see.

    Attributes:
        variant: "fp16", "int8" or "int8-cpu".
        frames, videos: how many it was measured on.
        cosine_mean, cosine_least: with the features in FP32.
        error: the mean length of the difference, as a share of the FP32 features' length.
        bytes: of the graph; fp32_bytes: of that in FP32.
        calibration: of what INT8 ranges were taken, in words; "" of FP16.
        layers_fp16: layers that could be INT8 and are not.
        fp32_nodes: nodes that FP16 does not hold.
    """

    variant: str
    frames: int
    videos: int
    cosine_mean: float
    cosine_least: float
    error: float
    bytes: int
    fp32_bytes: int
    calibration: str
    layers_fp16: list[str]
    fp32_nodes: list[str]

    def failures(self, limits: FeatureLimits) -> list[str]:
        """What is worse than the limits, in words with both numbers."""
        failures = []
        if self.cosine_mean < limits.min_cosine:
            failures.append(
                f"the mean cosine with FP32 features is {self.cosine_mean:.4f}, wanted is {limits.min_cosine:g} "
                "(--min-cosine)"
            )
        if self.cosine_least < limits.least:
            failures.append(f"the least cosine of a frame is {self.cosine_least:.4f}, wanted is {limits.least:g}")
        return failures

    def loss(self) -> dict[str, Any]:
        """What extractor.json keeps."""
        return {name: value for name, value in asdict(self).items() if name not in ("variant", "bytes", "fp32_bytes")}


def run_cnn(path: Path, frames: Frames) -> Features:
    """The features [F, W] that a graph gives frames on this CPU."""
    graph = OnnxRuntimeGraph(path)
    return np.concatenate([graph.run(batch)[graph.outputs[0].name] for batch in frames.shown("running the CNN")])


def run_reduced(variant: str, path: Path, frames: Frames) -> Features:
    """The features [F, W] that a reduced graph gives where it will run, computed on this CPU."""
    with TemporaryDirectory() as folder:
        return run_cnn(on_cpu(variant, path, Path(folder)), frames)


def cosines(expected: Features, found: Features) -> npt.NDArray[np.float64]:
    """Of each row with its like [F]; rows of zeros are alike, and unlike all others.

    Raises:
        JsfError: a feature is NaN or infinity.
    """
    for name, features in (("FP32", expected), ("reduced precision", found)):
        if not np.isfinite(features).all():
            raise JsfError(f"the CNN's features are not finite in {name}.", "Extract with --precision fp32.")
    one, other = expected.astype(np.float64), found.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    similar: npt.NDArray[np.float64] = (one == other).all(1).astype(np.float64)
    np.divide((one * other).sum(1), lengths, out=similar, where=lengths > 0)
    return similar


def relative_errors(expected: Features, found: Features) -> npt.NDArray[np.float64]:
    """The length of each row's difference, as a share of the FP32 row's length: [F]."""
    lengths = np.linalg.norm(expected.astype(np.float64), axis=1)
    differences = np.linalg.norm(found.astype(np.float64) - expected, axis=1)
    errors: npt.NDArray[np.float64] = np.where(differences > 0, np.inf, 0.0)
    np.divide(differences, lengths, out=errors, where=lengths > 0)
    return errors
