"""`samples.npz` of a bundle: random inputs of the model, on which a precision is measured where no data is given.

An array is called `<graph>.<input>`, and has the shape and the type that the graph takes. What the matcher takes, the
encoders make, but for the positions of blanks: they lie with the words.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from jsf.calibration.inputs import Pairs
from jsf.data.errors import JsfError
from jsf.data.files import replacing
from jsf.data.levels import Limits
from jsf.data.sequence import MAX_STEPS, UNREADABLE
from jsf.data.task_names import EMBEDDINGS, FILLS
from jsf.runtime.backends.base import Arrays
from jsf.runtime.bundle import EXPORT_AGAIN, Bundle, Manifest

MOST = 64
"""Videos, and sentences, at most: arrays are allocated by what the file declares."""

FLOATS = ("features", "clips")
"""Inputs that are float32; the others are int32."""


def save_samples(path: Path, samples: Mapping[str, Arrays]) -> None:
    """Writes the inputs of each graph, whole or not at all."""
    arrays: dict[str, Any] = {
        f"{graph}.{name}": array for graph, inputs in samples.items() for name, array in inputs.items()
    }
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)


def load_samples(bundle: Bundle) -> Pairs | dict[str, Arrays]:
    """Every stored video with every stored sentence; of an embedding, graph -> its inputs by name.

    Types and shapes are checked before anything is allocated.

    Raises:
        JsfError: the file is missing, changed or damaged, or its arrays are not what the manifest says.
    """
    path, expected = bundle.samples, _shapes(bundle.manifest)
    try:
        with zipfile.ZipFile(path) as archive:
            for graph, shapes in expected.items():
                _check(archive, graph, shapes)
        with np.load(path, allow_pickle=False) as arrays:
            samples = {graph: {name: arrays[f"{graph}.{name}"] for name in expected[graph]} for graph in expected}
    except (*UNREADABLE, KeyError) as error:
        raise JsfError(f"{path} does not hold inputs of this model: {error}.", EXPORT_AGAIN) from error
    if bundle.manifest.model in EMBEDDINGS:
        return samples
    videos, sentences = samples["frame_encoder"], samples["word_encoder"]
    rows, columns = np.indices((len(videos["lengths"]), len(sentences["lengths"])), np.int32).reshape(2, -1)
    return Pairs(videos, sentences, sentences.pop("blanks", None), rows, columns, bundle.manifest.left_padded)


def _check(archive: zipfile.ZipFile, graph: str, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError unless a graph's inputs are declared to be as many of each, of the right shapes and types."""
    counts = set()
    for name, shape in shapes.items():
        wanted = np.dtype(np.float32 if name in FLOATS else np.int32)
        with archive.open(f"{graph}.{name}.npy") as file:
            np.lib.format.read_magic(file)
            found, _, dtype = np.lib.format.read_array_header_1_0(file)
        if dtype != wanted or len(found) != len(shape) + 1 or found[1:] != shape:
            raise ValueError(f"'{graph}.{name}' is {dtype} {list(found)}, expected {wanted} {['B', *shape]}")
        counts.add(found[0])
    if len(counts) > 1 or not 1 <= min(counts) <= MOST:
        raise ValueError(f"'{graph}' has {sorted(counts)} samples, expected as many of each input, 1 to {MOST}")


def _shapes(manifest: Manifest) -> dict[str, dict[str, tuple[int, ...]]]:
    """Graph -> its inputs -> the shape of one sample."""
    width = manifest.feature_width
    if manifest.model not in EMBEDDINGS:
        blanks: dict[str, tuple[int, ...]] = {"blanks": ()} if manifest.task == FILLS else {}
        return {
            "frame_encoder": {"features": (MAX_STEPS, width), "lengths": ()},
            "word_encoder": {"words": (MAX_STEPS,), "lengths": (), **blanks},
        }
    limits = Limits(manifest.model == "hse", **manifest.limits)
    limits.check()
    shapes = {
        "video_encoder": {"features": (limits.frames, width), "lengths": ()},
        "text_encoder": {"words": (limits.text_words,), "lengths": ()},
    }
    if limits.hierarchical:
        shapes["video_encoder"] |= {"clips": (limits.clips, limits.frames, width), "clip_lengths": (limits.clips,)}
        shapes["text_encoder"] |= {"sentences": (limits.clips, limits.words), "sentence_lengths": (limits.clips,)}
    return shapes
