"""An extractor's folder: its CNN in several precisions, and engines of it, as a bundle has its graphs.

```
extractor/
  extractor.json     what is in it
  visual.onnx        the CNN in FP32
  sound.onnx         VGGish, where the sound is that
  fp16/ int8/ int8-cpu/
                     visual.onnx
  engines/<backend>-<version>-<sm>/<precision>/visual.engine  visual.json
```
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.locks import locked
from jsf.extraction.spec import ExtractorSpec, make_again
from jsf.runtime.graph_folder import VISUAL, GraphFolder


@dataclass
class ExtractorFolder(GraphFolder):
    """An opened extractor folder: `default_extractor()`, or a bundle's `extractor/`."""

    root: Path
    spec: ExtractorSpec
    option = "--extractor"

    @classmethod
    def open(cls, root: Path) -> "ExtractorFolder":
        """Reads and checks a folder; reduced graphs are hashed when they are loaded, not here.

        Raises:
            JsfError: not an extractor folder, damaged, or its graph was changed.
        """
        return cls(root, ExtractorSpec.load(root))

    @property
    def hashes(self) -> Mapping[str, Mapping[str, str]]:
        """Variant -> the CNN -> SHA-256 of its file."""
        return {variant: {VISUAL: sha} for variant, sha in {"fp32": self.spec.sha256, **self.spec.reduced}.items()}

    @property
    def losses(self) -> Mapping[str, Mapping[str, Any]]:
        """Variant -> what it costs against FP32."""
        return self.spec.losses

    @property
    def running_graphs(self) -> tuple[str, ...]:
        """The CNN: of the sound's graph there is one."""
        return (VISUAL,)

    def graph(self, variant: str, name: str) -> Path:
        """The path of the CNN in a variant; that in FP32 was hashed when the folder was opened."""
        return self.path(variant, name) if variant == "fp32" else super().graph(variant, name)

    def path(self, variant: str, name: str) -> Path:
        """Where the CNN lies."""
        return self.root / ("" if variant == "fp32" else variant) / f"{name}.onnx"

    def remake(self, variant: str) -> str:
        """The command that makes the CNN in a variant."""
        if variant == "fp32":
            return make_again(self.root)
        return f"Make them with: jsf build-engine --{variant.partition('-')[0]} --videos VIDEOS --extractor {self.root}"

    def publish(self, hashes: dict[str, dict[str, str]], losses: dict[str, dict[str, Any]]) -> None:
        """Enters variants into extractor.json, by name: the CNN's SHA-256, and what they cost.

        Raises:
            JsfError: another extractor was written here meanwhile.
        """
        with locked(self.root):
            now = ExtractorSpec.load(self.root)
            if now.identity != self.spec.identity:
                raise JsfError(f"{self.root} was written again meanwhile.", "Run the same command again.")
            reduced = {variant: graphs[VISUAL] for variant, graphs in hashes.items()}
            self.spec = replace(now, reduced={**now.reduced, **reduced}, losses={**now.losses, **losses})
            self.spec.save(self.root)
