"""The feature sequence: one feature vector per sampled video frame, and where it came from."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.files import replacing

MAX_STEPS = 40
"""Nmax = Mmax = 40 (JSFusion, section 3.1)."""

MAX_BYTES = 1 << 30
"""The largest feature file that is read: an hour at 5 fps and 2176 float32 is a seventh of this."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, ValueError, TypeError, OSError, EOFError, MemoryError, RuntimeError)
"""What zipfile and numpy raise on damaged, encrypted or pickled archives."""


@dataclass(frozen=True)
class FeatureSequence:
    """A video as features [T, D], float16 or float32, T >= 1.

    Attributes:
        features: [T, D], finite.
        fps: frames per second at which the video was sampled; 0 where that is not known.
        extractor: name and version of what made the features; "" where that is not known.
        source: the file or id they came from.
    """

    features: npt.NDArray[Any]
    fps: float = 0.0
    extractor: str = ""
    source: str = ""

    def __post_init__(self) -> None:
        """Raises JsfError where the features are empty, of a wrong shape or type, or not finite."""
        check_features(self.features, self.source or "the feature sequence")

    def save(self, path: Path) -> None:
        """Writes `video.npz` (uncompressed, no pickle), whole or not at all."""
        with replacing(path) as temporary:
            np.savez(
                temporary,
                features=self.features,
                fps=np.float32(self.fps),
                extractor=np.str_(self.extractor),
                source=np.str_(self.source),
            )


def check_features(features: npt.NDArray[Any], source: str) -> None:
    """Raises JsfError unless `features` is a finite, non-empty [T, D] of float16 or float32."""
    if features.ndim != 2 or features.dtype not in (np.float16, np.float32):
        raise JsfError(
            f"{source}: features are {features.dtype} {list(features.shape)}, expected float16 or float32 [T, D]."
        )
    if features.shape[0] == 0:
        raise JsfError(f"{source}: the video has no frames (T = 0).", "Extract it again: jsf extract VIDEO -o OUT.npz")
    if features.shape[1] == 0:
        raise JsfError(f"{source}: the features have no width (D = 0).")
    if not np.isfinite(features).all():
        step = int(np.argwhere(~np.isfinite(features))[0][0])
        raise JsfError(f"{source}: features hold NaN or infinity, first at step {step} of {len(features)}.")


def load_sequence(path: Path) -> FeatureSequence:
    """Reads `video.npz`. Nothing in it is unpickled, and declared sizes are checked before anything is allocated.

    Raises:
        JsfError: the file is missing, damaged, pickled, too large, or its features are not a valid [T, D].
    """
    if not path.is_file():
        raise JsfError(f"{path} does not exist.", "Make it with: jsf extract VIDEO -o " + str(path))
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise JsfError(f"{path} unpacks to {size:,} bytes; at most {MAX_BYTES:,} are read.")
        with np.load(path, allow_pickle=False) as arrays:
            if "features" not in arrays:
                raise JsfError(f"{path} has no array 'features', only: {', '.join(arrays.files) or 'nothing'}.")
            features = arrays["features"]
            if not isinstance(features, np.ndarray):  # numpy hands over the bytes of a member that is no array
                raise ValueError("'features' is not an array")
            return FeatureSequence(
                features=features,
                fps=float(arrays["fps"]) if "fps" in arrays else 0.0,
                extractor=str(arrays["extractor"]) if "extractor" in arrays else "",
                source=str(path),
            )
    except UNREADABLE as error:
        raise JsfError(
            f"{path} is not a feature sequence: {error}.", "Expected the .npz that `jsf extract` writes."
        ) from error


def made_from(path: Path) -> str:
    """The file that `video.npz` was made from, as it was named then; "" where that is not known.

    Args:
        path: a file that `load_sequence` reads.
    """
    with np.load(path, allow_pickle=False) as arrays:
        return str(arrays["source"]) if "source" in arrays else ""


def sample_steps(
    length: int, limit: int = MAX_STEPS, random: np.random.Generator | None = None
) -> npt.NDArray[np.intp]:
    """The steps kept of a sequence of `length`: all of them, or `limit` equidistant ones, floor(i * length / limit).

    With `random` each is drawn from its own share of the sequence: other steps each time, for training.
    """
    if length <= limit:
        return np.arange(length)
    offset = random.random(limit) if random else 0.0
    return ((np.arange(limit) + offset) * length // limit).astype(np.intp)


def pad(
    sequences: list[npt.NDArray[Any]], steps: int = MAX_STEPS, left: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Stacks sequences [T_i, D] as ([B, steps, D] float32, zero on the right or on the `left`; [B] int32 lengths).

    A sequence longer than `steps` is sampled at equidistant steps first.
    """
    sampled = [sequence[sample_steps(len(sequence), steps)] for sequence in sequences]
    padded = np.zeros((len(sampled), steps, sampled[0].shape[1]), np.float32)
    for row, sequence in zip(padded, sampled, strict=True):
        row[slice(steps - len(sequence), None) if left else slice(len(sequence))] = sequence
    return padded, np.array([len(sequence) for sequence in sampled], np.int32)
