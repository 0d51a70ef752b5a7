"""The extractor: a video file to its feature sequence."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS, FeatureSequence
from jsf.extraction.audio import AudioFeatures
from jsf.extraction.folder import ExtractorFolder
from jsf.extraction.pipeline import extract_videos
from jsf.extraction.preprocess import normalize
from jsf.extraction.spec import NO_SOUND, SOUND_GRAPH, SPEC, VGGISH, ExtractorSpec
from jsf.extraction.vggish import NoSound, VGGish
from jsf.runtime.backends.base import Graph
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.backends.openvino import OpenVinoGraph
from jsf.runtime.graph_folder import PRECISIONS, VISUAL
from jsf.runtime.graphs import load_graphs, open_graph

ON_CPU, ON_GPU = 4, 16
"""Frames per run of the CNN: a larger batch leaves the cache of a CPU, and 16 are the most that an engine takes."""


@dataclass(frozen=True)
class Extractor:
    """A CNN's graph, the recipe around it, and the sound's recipe. Safe to use from several threads."""

    spec: ExtractorSpec
    graph: Graph
    sound: AudioFeatures
    identity: str
    """What feature files name as their `extractor`; of a reduced CNN it tells the precision."""
    description: str
    """What runs where, as printed to the user."""
    batch: int = ON_CPU
    """Frames per run of the CNN, of as many videos as it takes."""
    workers: int = 1
    """Runs of the CNN at a time."""

    @classmethod
    def open(cls, folder: Path, device: str = "cpu", precision: str = "fp32") -> "Extractor":
        """Opens an extractor folder: `default_extractor()`, or a bundle's `extractor/`.

        Args:
            folder: as `ExtractorFolder` describes it.
            device: "cpu"; "openvino"; "cuda", an engine of the folder, or ONNX Runtime where it has none in this
                precision; "auto", an engine where the folder has one for this machine's GPU, else "cpu".
            precision: of the CNN: "fp32", "fp16" or "int8".

        Raises:
            JsfError: not an extractor folder, damaged, the graph was changed, or what was asked for is not there.
        """
        if precision not in PRECISIONS:
            raise JsfError(f"precision '{precision}' is not known, expected one of: {', '.join(PRECISIONS)}.")
        opened = ExtractorFolder.open(folder)
        spec, loaded = opened.spec, load_graphs(opened, device, precision, threads=1)
        graph = loaded[VISUAL]
        expected = [(spec.input, (3, spec.size, spec.size)), (spec.output, (spec.width,))]
        if (found := [(tensor.name, tensor.shape[1:]) for tensor in graph.inputs + graph.outputs]) != expected:
            raise JsfError(f"the CNN of {folder} has the tensors {found}, {SPEC} says {expected}.")
        engine = not isinstance(graph, OnnxRuntimeGraph | OpenVinoGraph)
        # The sound's graph has no engine: beside one it runs on the CPU.
        sound = _open_sound(spec, folder, "cpu" if engine or device == "auto" else device)
        batch = ON_GPU if engine or device == "cuda" else ON_CPU
        # A thread for each batch: threads that share one would wait for the one whose core is decoding.
        workers = (os.cpu_count() or 1) if isinstance(graph, OnnxRuntimeGraph) and device != "cuda" else 1
        return cls(spec, graph, sound, spec.identity_in(precision), loaded.description, batch, workers)

    @property
    def width(self) -> int:
        """D: the CNN's width, then the sound's."""
        return self.spec.width + self.sound.width

    def extract(self, path: Path, limit: int = MAX_STEPS) -> FeatureSequence:
        """The features [T, D] of a video file, [visual, sound] for each frame, T <= `limit`.

        Raises:
            JsfError: the file is missing, empty, damaged, not a video, or has no frames; or `av` is not installed.
        """
        (outcome,) = extract_videos([path], self, limit)
        if outcome.error:
            raise outcome.error
        assert outcome.sequence
        return outcome.sequence

    def see(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """The CNN's features [B, W] of RGB frames [B, S, S, 3]."""
        images = normalize(frames, self.spec.mean, self.spec.std)
        return self.graph.run({self.spec.input: images})[self.spec.output]


def _open_sound(spec: ExtractorSpec, folder: Path, device: str) -> AudioFeatures:
    if spec.sound == NO_SOUND:
        return NoSound()
    return VGGish(open_graph(folder / SOUND_GRAPH, device), spec.audio) if spec.sound == VGGISH else spec.audio
