"""The shapes that an engine is built for: one optimization profile for each size that its matcher runs at."""

from itertools import product
from pathlib import Path
from typing import Any, TypeAlias

from jsf.data.errors import JsfError
from jsf.runtime.graph_folder import VISUAL

Lengths: TypeAlias = dict[str, list[int]]
"""A profile: symbolic length -> [least, usual, greatest]."""

LENGTHS = {"B": [1, 16, 256], "E": [1, 1, 32], "V": [1, 64, 4096], "S": [1, 64, 4096], "P": [1, 64, 64]}
"""Videos or sentences encoded at once (E: embedded), those of a gallery, pairs per run.

A pair has 40 * 40 * 512 values in each activation: 64 pairs take 0.1 GB for one in FP16, twice that in FP32. A row of a
gallery has 40 * 512: 4096 rows take 0.17 GB in FP16, and the runtime allocates for the rows that are there.
"""

IMAGES = {"B": [1, 16, 16]}
"""Frames of videos at once: extraction never gives a CNN more."""

BUCKETS = tuple(product((24, 40), (9, 13, 21, 40)))
"""The (frames, words) of a matcher's profiles, the largest last.

Few, since each adds to the engine's size and to the time of its build. Even frames, since videos may be padded on the
left, and since TensorRT-RTX copies an activation first to multiply an odd number of cells.
"""


def profiles_of(graph: Path, inputs: dict[str, dict[str, Any]]) -> list[Lengths]:
    """One profile for each bucket, within which frames and words are fixed; one where a graph has neither.

    Args:
        graph: the .onnx file, to be named in an error.
        inputs: name -> {"dtype", "shape"}, as in a sidecar.

    Raises:
        JsfError: the graph has another symbolic length.
    """
    names = sorted({length for tensor in inputs.values() for length in tensor["shape"] if isinstance(length, str)})
    lengths = LENGTHS | IMAGES if graph.stem == VISUAL else LENGTHS
    known = [{**lengths, "frames": [frames] * 3, "words": [words] * 3} for frames, words in BUCKETS]
    if unknown := set(names) - set(known[0]):
        raise JsfError(f"{graph} has the symbolic lengths {sorted(unknown)}; engines are built for {sorted(known[0])}.")
    fixed = "frames" in names or "words" in names
    return [{name: lengths[name] for name in names} for lengths in (known if fixed else known[:1])]


def shapes_of(tensor: dict[str, Any], profile: Lengths) -> list[list[int]]:
    """The least, the usual and the greatest shape of an input within a profile."""
    return [[profile[d][i] if isinstance(d, str) else d for d in tensor["shape"]] for i in range(3)]
