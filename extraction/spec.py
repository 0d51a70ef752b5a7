"""`extractor.json`: what the visual graph takes and gives, and the sound's settings."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.files import read_json, sha256, write_json
from jsf.extraction.audio import LogMel

SPEC = "extractor.json"
GRAPH = "visual.onnx"


@dataclass(frozen=True)
class ExtractorSpec:
    """An extractor folder holds `visual.onnx` and this, `extractor.json`.

    Attributes:
        name, version: of the recipe; a change of sampling, preprocessing or statistics changes the version.
        input, output: names in the graph: [B, 3, size, size] f32 -> [B, width] f32.
        size: side of the square input, in pixels.
        mean, std: per channel, on pixel values 0..255 (RGB).
        sha256: of the graph's file.
        audio: settings of the log-mel spectrum.
    """

    name: str
    version: int
    input: str
    output: str
    size: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    sha256: str
    audio: LogMel = field(default_factory=LogMel)

    @classmethod
    def load(cls, folder: Path) -> "ExtractorSpec":
        """Reads the spec of an extractor folder and checks that the graph is the one it names.

        Raises:
            JsfError: not an extractor folder, damaged, or the graph was changed.
        """
        path, graph = folder / SPEC, folder / GRAPH
        if not path.is_file() or not graph.is_file():
            raise JsfError(f"{folder} is not an extractor: it needs {SPEC} and {GRAPH}.", _again(folder))
        spec = cls._parse(path, read_json(path))
        if (found := sha256(graph)) != spec.sha256:
            raise JsfError(
                f"{graph} was changed: its SHA-256 is {found[:12]}..., {SPEC} says {spec.sha256[:12]}...",
                _again(folder),
            )
        return spec

    @classmethod
    def _parse(cls, path: Path, value: dict[str, Any]) -> "ExtractorSpec":
        if set(value) != (expected := {f.name for f in fields(cls)}):
            raise JsfError(f"{path} has {sorted(value)}, expected {sorted(expected)}.", _again(path.parent))
        try:
            channels = {key: tuple(float(number) for number in value[key]) for key in ("mean", "std")}
            numbers = {key: int(value[key]) for key in ("version", "size", "width")}
            names = {key: str(value[key]) for key in ("name", "input", "output", "sha256")}
            spec = cls(**names, **numbers, **channels, audio=LogMel(**value["audio"]))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise JsfError(f"{path} is not an extractor's description: {error}.", _again(path.parent)) from error
        if len(spec.mean) != 3 or len(spec.std) != 3 or 0.0 in spec.std:
            raise JsfError(f"{path}: mean and std are {spec.mean} and {spec.std}, expected three numbers each.")
        return spec

    def save(self, folder: Path) -> None:
        """Writes `extractor.json`."""
        write_json(folder / SPEC, asdict(self))

    @property
    def identity(self) -> str:
        """What made the features, as kept in feature files: name, version, start of the graph's hash."""
        return f"{self.name} {self.version} {self.sha256[:12]}"


def _again(folder: Path) -> str:
    return f"Remove {folder}, and jsf writes its default extractor again; for a bundle, export it again: jsf export"
