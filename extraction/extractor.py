"""The extractor: a video file to its feature sequence."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import cache_folder
from jsf.data.sequence import FeatureSequence
from jsf.extraction.decode import Clip, read_clip
from jsf.extraction.preprocess import normalize
from jsf.extraction.spec import GRAPH, SPEC, ExtractorSpec
from jsf.runtime.backends.base import Graph
from jsf.runtime.graphs import open_graph

DEFAULT = "efficientnet-lite0+logmel"
"""The name of the extractor that comes with jsf."""

BATCH = 16
"""Frames per run of the CNN: larger batches leave the cache of a CPU and are slower a frame."""


@dataclass(frozen=True)
class Extractor:
    """A CNN's graph and the recipe around it. Safe to use from several threads."""

    spec: ExtractorSpec
    graph: Graph

    @classmethod
    def open(cls, folder: Path, device: str = "cpu") -> "Extractor":
        """Opens an extractor folder: `default_extractor()`, or a bundle's `extractor/`.

        Args:
            folder: holds `visual.onnx` and `extractor.json`.
            device: "cpu", "openvino" or "cuda".

        Raises:
            JsfError: not an extractor folder, damaged, the graph was changed, or the device is not there.
        """
        spec = ExtractorSpec.load(folder)
        graph = open_graph(folder / GRAPH, device)
        expected = [(spec.input, (3, spec.size, spec.size)), (spec.output, (spec.width,))]
        if (found := [(tensor.name, tensor.shape[1:]) for tensor in graph.inputs + graph.outputs]) != expected:
            raise JsfError(f"{folder / GRAPH} has the tensors {found}, {SPEC} says {expected}.")
        return cls(spec, graph)

    @property
    def identity(self) -> str:
        """What feature files name as their `extractor`."""
        return self.spec.identity

    @property
    def width(self) -> int:
        """D: the CNN's width, then mean and standard deviation of each mel band."""
        return self.spec.width + 2 * self.spec.audio.bands

    def extract(self, path: Path) -> FeatureSequence:
        """The features [T, D] of a video file, T <= 40.

        Raises:
            JsfError: the file is missing, empty, damaged, not a video, or has no frames; or `av` is not installed.
        """
        return self.encode(self.read(path), str(path))

    def read(self, path: Path) -> Clip:
        """Decodes what `encode` needs of a video file; raises as `extract` does."""
        return read_clip(path, self.spec.size, self.spec.audio.rate)

    def encode(self, clip: Clip, source: str) -> FeatureSequence:
        """The features of a decoded clip: [visual, mean of the sound, its standard deviation] for each frame."""
        batches = np.split(clip.frames, range(BATCH, len(clip.frames), BATCH))
        visual = [self._visual(batch) for batch in batches]
        audio = self.spec.audio.statistics(clip.sound, clip.sound_start, clip.times)
        span = clip.times[-1] - clip.times[0]
        fps = (len(clip.times) - 1) / span if span else 0.0
        return FeatureSequence(np.hstack([np.concatenate(visual), audio]), float(fps), self.identity, source)

    def _visual(self, frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        images = normalize(frames, self.spec.mean, self.spec.std)
        return self.graph.run({self.spec.input: images})[self.spec.output]


def default_extractor() -> Path:
    """The folder of EfficientNet-Lite0 and log-mel statistics, in the user's cache; written on first use.

    Raises:
        JsfError: it is not there yet, and PyTorch or the weights' package is not installed.
    """
    folder = cache_folder() / "extractors" / DEFAULT
    if not (folder / SPEC).is_file():
        require("torch", "export")
        from rich.console import Console

        from jsf.extraction.backbone import export_backbone

        with Console(stderr=True).status("Writing the CNN as an ONNX graph, once"):
            export_backbone(folder)
    return folder
