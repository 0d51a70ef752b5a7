"""The extractor: a video file to its feature sequence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.sequence import MAX_STEPS, FeatureSequence
from jsf.extraction.audio import AudioFeatures
from jsf.extraction.pipeline import extract_videos
from jsf.extraction.preprocess import normalize
from jsf.extraction.spec import GRAPH, NO_SOUND, SOUND_GRAPH, SPEC, VGGISH, ExtractorSpec
from jsf.extraction.vggish import NoSound, VGGish
from jsf.runtime.backends.base import Graph
from jsf.runtime.graphs import open_graph


@dataclass(frozen=True)
class Extractor:
    """A CNN's graph, the recipe around it, and the sound's recipe. Safe to use from several threads."""

    spec: ExtractorSpec
    graph: Graph
    sound: AudioFeatures

    @classmethod
    def open(cls, folder: Path, device: str = "cpu") -> "Extractor":
        """Opens an extractor folder: `default_extractor()`, or a bundle's `extractor/`.

        Args:
            folder: holds `visual.onnx`, `extractor.json`, and for VGGish `sound.onnx`.
            device: "cpu", "openvino" or "cuda".

        Raises:
            JsfError: not an extractor folder, damaged, the graph was changed, or the device is not there.
        """
        spec = ExtractorSpec.load(folder)
        graph = open_graph(folder / GRAPH, device)
        expected = [(spec.input, (3, spec.size, spec.size)), (spec.output, (spec.width,))]
        if (found := [(tensor.name, tensor.shape[1:]) for tensor in graph.inputs + graph.outputs]) != expected:
            raise JsfError(f"{folder / GRAPH} has the tensors {found}, {SPEC} says {expected}.")
        return cls(spec, graph, _open_sound(spec, folder, device))

    @property
    def identity(self) -> str:
        """What feature files name as their `extractor`."""
        return self.spec.identity

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
