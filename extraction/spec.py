"""`extractor.json`: what the graphs of an extractor take and give, and how frames and sound become that."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.files import read_json, sha256, write_json
from jsf.data.identity import in_precision
from jsf.extraction.audio import LogMel
from jsf.extraction.preprocess import Square
from jsf.runtime.graph_folder import CPU_INT8, VARIANTS, VISUAL

SPEC = "extractor.json"
GRAPH = f"{VISUAL}.onnx"
SOUND_GRAPH = "sound.onnx"

LOG_MEL, VGGISH, NO_SOUND = "log-mel", "vggish", "none"
SOUNDS = (LOG_MEL, VGGISH, NO_SOUND)


@dataclass(frozen=True)
class ExtractorSpec:
    """An extractor folder holds `visual.onnx`, this as `extractor.json`, and for VGGish `sound.onnx`.

    Attributes:
        name, version: of the recipe; a change of sampling, preprocessing or statistics changes the version.
        input, output: names in the graph: [B, 3, size, size] f32 -> [B, width] f32.
        size: side of the square input, in pixels.
        mean, std: per channel, on pixel values 0..255 (RGB).
        sha256: of the visual graph's file.
        audio: settings of the log-mel spectrum.
        short_side, interpolation: as of `Square`.
        sound: "log-mel" for its statistics, "vggish", or "none".
        sound_sha256: of the sound graph's file; "" where there is none.
        reduced: "fp16", "int8" or "int8-cpu" -> SHA-256 of the visual graph in it.
        losses: the same -> what it costs against FP32: how far the features lie apart.
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
    short_side: int | None = None
    interpolation: str = "bicubic"
    sound: str = LOG_MEL
    sound_sha256: str = ""
    reduced: dict[str, str] = field(default_factory=dict)
    losses: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path) -> "ExtractorSpec":
        """Reads the spec of an extractor folder and checks that the graphs are the ones it names.

        Raises:
            JsfError: not an extractor folder, damaged, or a graph was changed.
        """
        path = folder / SPEC
        if not path.is_file():
            raise JsfError(
                f"{folder} is not an extractor: it has no {SPEC}.",
                "Name the folder of one; to make one: jsf extractor --help",
            )
        if not (folder / GRAPH).is_file():
            raise JsfError(f"{folder} is not a whole extractor: it has no {GRAPH}.", make_again(folder))
        spec = cls._parse(path, read_json(path))
        graphs = {GRAPH: spec.sha256} | ({SOUND_GRAPH: spec.sound_sha256} if spec.sound == VGGISH else {})
        for name, expected in graphs.items():
            if (found := sha256(folder / name)) != expected:
                raise JsfError(
                    f"{folder / name} was changed: its SHA-256 is {found[:12]}..., {SPEC} says {expected[:12]}...",
                    make_again(folder),
                )
        return spec

    @classmethod
    def _parse(cls, path: Path, value: dict[str, Any]) -> "ExtractorSpec":
        known = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(cls)}
        # What has a default came later: extractors made before it lack it.
        needed = {name for name, default in known.items() if default is MISSING} | {"audio"}
        if not needed <= set(value) <= set(known):
            raise JsfError(f"{path} has {sorted(value)}, expected {sorted(known)}.", make_again(path.parent))
        value = known | value
        try:
            channels = {key: tuple(float(number) for number in value[key]) for key in ("mean", "std")}
            numbers = {key: int(value[key]) for key in ("version", "size", "width")}
            short_side = None if value["short_side"] is None else int(value["short_side"])
            names = ("name", "input", "output", "sha256", "interpolation", "sound", "sound_sha256")
            strings = {key: str(value[key]) for key in names}
            variants = {key: dict(value[key]) for key in ("reduced", "losses")}
            if any(set(found) - set(VARIANTS[1:]) for found in variants.values()):
                raise ValueError(f"of its variants {variants} not all are known")
            if ("int8" in variants["reduced"]) != (CPU_INT8 in variants["reduced"]):
                raise ValueError("of its two INT8 graphs one is missing")
            if not all(isinstance(sha, str) for sha in variants["reduced"].values()):
                raise ValueError("a hash is no text")
            audio = LogMel(**value["audio"])
            spec = cls(**strings, **numbers, **channels, **variants, short_side=short_side, audio=audio)  # type: ignore[arg-type]
            _ = spec.square
        except (TypeError, ValueError, ArithmeticError) as error:
            raise JsfError(f"{path} is not an extractor's description: {error}.", make_again(path.parent)) from error
        right = all(map(math.isfinite, spec.mean)) and all(0 < std < math.inf for std in spec.std)
        if len(spec.mean) != 3 or len(spec.std) != 3 or not right:
            raise JsfError(
                f"{path}: mean and std are {spec.mean} and {spec.std}, expected three numbers each, and std above 0."
            )
        if spec.sound not in SOUNDS:
            raise JsfError(
                f"{path}: sound '{spec.sound}' is not known, expected one of: {', '.join(SOUNDS)}.",
                "Use the version of jsf that made it.",
            )
        return spec

    def save(self, folder: Path) -> None:
        """Writes `extractor.json`."""
        write_json(folder / SPEC, asdict(self))

    @property
    def square(self) -> Square:
        """How a frame becomes the CNN's input."""
        return Square(self.size, self.short_side, self.interpolation)

    @property
    def identity(self) -> str:
        """What made the features, as kept in feature files: name, version, start of each graph's hash."""
        return " ".join([self.name, str(self.version), self.sha256[:12], self.sound_sha256[:12]]).rstrip()

    def identity_in(self, precision: str) -> str:
        """As `identity`, of the CNN in a precision; the two INT8 graphs are of one calibration, and have one name."""
        return self.identity if precision == "fp32" else in_precision(self.identity, precision, self.reduced[precision])

    def cache_key(self, precision: str) -> str:
        """All that features depend on: settings that were edited in `extractor.json` do not change the identity."""
        settings = {name: value for name, value in asdict(self).items() if name not in ("reduced", "losses")}
        return f"{self.identity_in(precision)} {json.dumps(settings, sort_keys=True)}"


def make_again(folder: Path) -> str:
    """The commands that make an extractor's folder again."""
    return (
        f"Remove {folder}, and jsf writes its default extractor again; others: jsf extractor --help; "
        "for a bundle, export it again: jsf export"
    )
