"""A bundle's graphs, or others in their place, over pairs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.calibration.inputs import Pairs
from jsf.data.progress import track
from jsf.runtime.backends.base import Arrays
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.bundle import MATCHER
from jsf.runtime.matching import Encoded, match

AT_ONCE = 32
"""Videos or sentences encoded at once."""


def score_pairs(graphs: Mapping[str, Path], pairs: Pairs) -> npt.NDArray[np.float32]:
    """The scores [P], or [P, |V|], that graphs by the names of `RUNNING` give pairs, on this CPU."""
    index = pairs.video_index, pairs.sentence_index
    return match(OnnxRuntimeGraph(graphs[MATCHER]), *encode(graphs, pairs), *index)


def encode(graphs: Mapping[str, Path], pairs: Pairs) -> tuple[Encoded, Encoded]:
    """The videos and the sentences of pairs, encoded."""
    videos, sentences = (
        np.concatenate([graph.run(part)[graph.outputs[0].name] for part in slices(inputs, f"running {name}")])
        for name, inputs in (("frame_encoder", pairs.videos), ("word_encoder", pairs.sentences))
        for graph in [OnnxRuntimeGraph(graphs[name])]
    )
    return (
        Encoded(videos, pairs.videos["lengths"], pairs.left_padded),
        Encoded(sentences, pairs.sentences["lengths"], blanks=pairs.blanks),
    )


def slices(inputs: Arrays, label: str) -> Iterator[Arrays]:
    """An encoder's inputs, as many at once as fit, with a progress bar."""
    starts = range(0, len(inputs["lengths"]), AT_ONCE)
    for start in track(starts, label, len(starts)):
        yield {name: array[start : start + AT_ONCE] for name, array in inputs.items()}
