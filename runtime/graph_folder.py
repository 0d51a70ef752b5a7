"""A folder of graphs in several precisions, each known by its SHA-256, and engines of them: a bundle, an extractor."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.files import sha256

PRECISIONS = ("fp32", "fp16", "int8")
"""What a user asks for, and engines are built of."""

CPU_INT8 = "int8-cpu"
VARIANTS = (*PRECISIONS, CPU_INT8)
"""What graphs there are: INT8 is one thing for TensorRT, and another for CPUs."""

VISUAL = "visual"
"""An extractor's CNN, its only graph that is reduced."""


class GraphFolder(ABC):
    """What bundles and extractors have in common. File names come from the layout, so no path can leave the folder."""

    root: Path
    option: str
    """Of the command line, that names such a folder: "--bundle"."""

    @property
    @abstractmethod
    def hashes(self) -> Mapping[str, Mapping[str, str]]:
        """Variant -> graph -> SHA-256 of its file."""

    @property
    @abstractmethod
    def losses(self) -> Mapping[str, Mapping[str, Any]]:
        """Variant -> what it costs against FP32."""

    @property
    @abstractmethod
    def running_graphs(self) -> tuple[str, ...]:
        """Those that are run, and of which engines are built."""

    @abstractmethod
    def path(self, variant: str, name: str) -> Path:
        """Where a graph lies."""

    @abstractmethod
    def remake(self, variant: str) -> str:
        """The command that makes a variant's graphs, again or for the first time."""

    @abstractmethod
    def publish(self, hashes: dict[str, dict[str, str]], losses: dict[str, dict[str, Any]]) -> None:
        """Enters variants, by name: their graphs' SHA-256, and what they cost."""

    def graph(self, variant: str, name: str) -> Path:
        """The path of a graph whose content is the one that the folder names.

        Args:
            variant: one of VARIANTS.
            name: one of the folder's graphs.

        Raises:
            JsfError: the folder does not have this variant, the file is missing, or it was changed.
        """
        if variant not in VARIANTS:
            raise JsfError(f"precision '{variant}' is not known, expected one of: {', '.join(PRECISIONS)}.")
        if variant not in self.hashes:
            raise JsfError(
                f"{self.root} has no {variant} graphs, only: {', '.join(self.hashes)}.", self.remake(variant)
            )
        return checked(self.path(variant, name), self.hashes[variant][name], self.remake(variant))

    @property
    def engines(self) -> Path:
        """The folder of engines, `<backend>-<version>-<sm>/<precision>/`."""
        return self.root / "engines"


def checked(path: Path, expected: str, fix: str) -> Path:
    """The path of a file that has this SHA-256; raises JsfError otherwise."""
    if not path.is_file():
        raise JsfError(f"{path} is missing.", fix)
    if (found := sha256(path)) != expected:
        raise JsfError(f"{path} was changed: its SHA-256 is {found[:12]}..., the manifest says {expected[:12]}...", fix)
    return path
