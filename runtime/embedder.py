"""The embedder: videos and texts in, unit vectors out, from a bundle and without PyTorch."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.levels import Levels, Limits, Text
from jsf.data.task_names import EMBEDDINGS
from jsf.runtime.backends.base import Graph
from jsf.runtime.bundle import EXPORT_AGAIN, Bundle, default_bundle
from jsf.runtime.embedding import EmbeddingScorer
from jsf.runtime.features import Video, content
from jsf.runtime.graphs import Graphs, load_graphs
from jsf.runtime.kept import Kept

INPUTS = {
    "video_encoder": ("features", "lengths", "clips", "clip_lengths"),
    "text_encoder": ("words", "lengths", "sentences", "sentence_lengths"),
}
"""Graph -> its inputs; a flat model's have the first two alone."""


class Embedder(EmbeddingScorer):
    """Embeds with the graphs of an HSE or FSE bundle.

    Attributes:
        bundle: what it was loaded from.
    """

    def __init__(self, bundle: Bundle, graphs: Graphs) -> None:
        manifest = bundle.manifest
        if manifest.model not in EMBEDDINGS:
            raise JsfError(
                f"{bundle.root} is a bundle of {manifest.model}, which embeds neither videos nor texts.",
                "Export an embedding: jsf train --model hse ..., then jsf export --ckpt RUN/best.pt",
            )
        self.bundle, self.vocabulary, self.extractor = bundle, bundle.vocabulary, manifest.extractor
        self.feature_width, self.width = manifest.feature_width, manifest.joint_width
        self.limits = Limits(manifest.model == "hse", **manifest.limits)
        self.limits.check()
        self._graphs, self.description, self._kept = graphs, graphs.description, Kept()
        self._check_limits()

    @classmethod
    def load(cls, bundle: Path | str | None = None, device: str = "auto", precision: str = "auto") -> "Embedder":
        """Opens a bundle folder; `$JSF_BUNDLE` or `./bundle` where none is named.

        Raises:
            JsfError: it is not a valid bundle of an embedding, or the device or the precision is not there.
        """
        opened = Bundle.open(Path(bundle) if bundle else default_bundle())
        return cls(opened, load_graphs(opened, device, precision))

    def embed_videos(self, videos: Sequence[Video | Clips]) -> npt.NDArray[np.float32]:
        """As of `EmbeddingScorer`; one that was embedded before is neither read nor embedded again."""
        embed = super().embed_videos
        keys = [("video", content(video)) for video in videos]
        return self._kept.rows(keys, lambda places: (embed([videos[place] for place in places]),))[0]

    def embed_texts(self, texts: Sequence[Text]) -> npt.NDArray[np.float32]:
        """As of `EmbeddingScorer`; one that was embedded before is not embedded again."""
        embed = super().embed_texts
        keys = [("text", text if isinstance(text, str) else tuple(text)) for text in texts]
        return self._kept.rows(keys, lambda places: (embed([texts[place] for place in places]),))[0]

    def _check_limits(self) -> None:
        """Raises JsfError unless the graphs take what the manifest says: arrays are allocated by it."""
        limits, width = self.limits, self.feature_width
        expected = {
            "features": (limits.frames, width),
            "clips": (limits.clips, limits.frames, width),
            "words": (limits.text_words,),
            "sentences": (limits.clips, limits.words),
        }
        widths = {graph.outputs[0].shape[-1] for graph in self._graphs.by_name.values()}
        if widths != {self.width}:
            raise JsfError(f"{self.bundle.root}: embeddings are {widths} wide, and manifest.json says {self.width}.")
        for spec in (spec for graph in self._graphs.by_name.values() for spec in graph.inputs):
            if spec.shape[1:] != expected.get(spec.name, spec.shape[1:]):
                raise JsfError(
                    f"{self.bundle.root}: '{spec.name}' of the graph is {list(spec.shape)}, and manifest.json says "
                    f"{list(expected[spec.name])}.",
                    EXPORT_AGAIN,
                )

    def _videos(self, levels: Levels) -> npt.NDArray[np.float32]:
        return self._run("video_encoder", levels)

    def _texts(self, levels: Levels) -> npt.NDArray[np.float32]:
        return self._run("text_encoder", levels)

    def _run(self, name: str, levels: Levels) -> npt.NDArray[np.float32]:
        return embed(self._graphs[name], name, levels)


def embed(graph: Graph, name: str, levels: Levels) -> npt.NDArray[np.float32]:
    """The embeddings [B, E] that a graph makes of a batch; its name says which inputs it has."""
    outputs = graph.run(dict(zip(INPUTS[name], levels.arrays, strict=False)))
    return outputs[graph.outputs[0].name].astype(np.float32)
