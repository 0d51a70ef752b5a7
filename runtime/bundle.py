"""The bundle: a folder that holds all that scoring needs, and the only contract between export and runtime.

```
bundle/
  manifest.json      what is in it: model, features, graphs with their SHA-256, parity, losses per variant
  vocabulary.json
  samples.npz        inputs of the model, on which a precision is measured where no data is given
  fp32/ fp16/ int8/ int8-cpu/
                     frame_encoder.onnx  word_encoder.onnx  matcher.onnx  matcher.buckets.onnx
                     (of an embedding: video_encoder.onnx  text_encoder.onnx)
  extractor/         visual.onnx  extractor.json
  engines/<backend>-<version>-<sm>/<precision>/<graph>.engine  <graph>.json
```
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.files import read_json, write_json
from jsf.data.levels import Limits
from jsf.data.locks import locked
from jsf.data.task_names import EMBEDDINGS
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.graph_folder import GraphFolder, checked

SCHEMA = 4
MATCHER = "matcher.buckets"
"""The matcher that scores, at the frame and word lengths that a batch needs."""

RUNNING = ("frame_encoder", "word_encoder", MATCHER)
"""What scoring with JSFusion runs, and of which engines are built."""

GRAPHS = (*RUNNING, "matcher")
"""Of JSFusion; the last one is static, 40 x 40, for runtimes that take nothing else."""

EMBEDDING_GRAPHS = ("video_encoder", "text_encoder")
"""Of HSE and FSE; both run."""

MAPS = ("attention", "stage1", "stage2", "stage3", "gate1", "gate2", "gate3")
"""Values that a matcher graph names and does not put out: JST's weights, and CHD's stages and their gates."""

SAMPLES = "samples.npz"
CALIBRATION = "calibration.json"

EXPORT_AGAIN = "Export the bundle again: jsf export --ckpt best.pt"


@dataclass
class Manifest:
    """`manifest.json`.

    Attributes:
        model: "jsfusion", "hse" or "fse".
        task: "retrieval", "multiple-choice", "fill-in-the-blank" or "embedding".
        preset: the name of the model's configuration.
        feature_width: D of the feature sequences that the frame encoder takes.
        extractor: what made the features in training, as in `FeatureSequence.extractor`; "" where unknown.
        left_padded: short videos are padded on the left.
        joint_width: the width of an encoded frame or word (D1), or of an embedding.
        opset: the ONNX opset of the graphs.
        vocabulary: SHA-256 of vocabulary.json.
        samples: SHA-256 of samples.npz.
        hashes: variant -> graph -> SHA-256 of its file.
        parity: graph -> largest difference from PyTorch, relative to the output's range.
        losses: variant -> what it costs against fp32: score error, and accuracy or "not measured".
        tools: package -> version that wrote the bundle.
        limits: how much of a video and of a text an embedding takes: the fields of `Limits`; empty for JSFusion.
    """

    model: str
    task: str
    preset: str
    feature_width: int
    extractor: str
    left_padded: bool
    joint_width: int
    opset: int
    vocabulary: str
    samples: str
    hashes: dict[str, dict[str, str]] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    losses: dict[str, dict[str, Any]] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    limits: dict[str, int] = field(default_factory=dict)
    schema: int = SCHEMA

    @property
    def graphs(self) -> tuple[str, ...]:
        """The names of the model's graphs."""
        return EMBEDDING_GRAPHS if self.model in EMBEDDINGS else GRAPHS

    @property
    def running_graphs(self) -> tuple[str, ...]:
        """Those that run when it scores, and of which engines are built."""
        return EMBEDDING_GRAPHS if self.model in EMBEDDINGS else RUNNING


@dataclass(frozen=True)
class Bundle(GraphFolder):
    """An opened bundle."""

    root: Path
    manifest: Manifest
    vocabulary: Vocabulary
    option = "--bundle"

    @classmethod
    def open(cls, root: Path) -> "Bundle":
        """Reads and validates a bundle; graphs are hashed when they are loaded, not here.

        Raises:
            JsfError: not a bundle, damaged, or written by a newer jsf.
        """
        path = root / "manifest.json"
        if not path.is_file():
            raise JsfError(
                f"{root} is not a bundle: it has no manifest.json.",
                "Make one with: jsf export --ckpt best.pt, or name another, as $JSF_BUNDLE too.",
            )
        try:
            manifest = _manifest(path)
            vocabulary = Vocabulary.load(root / "vocabulary.json")
            checked(root / "vocabulary.json", manifest.vocabulary, f"{EXPORT_AGAIN} -o {root}")
            return cls(root, manifest, vocabulary)
        except JsfError as error:
            raise JsfError(error.message, error.fix or EXPORT_AGAIN) from error

    @property
    def hashes(self) -> Mapping[str, Mapping[str, str]]:
        """Variant -> graph -> SHA-256 of its file."""
        return self.manifest.hashes

    @property
    def losses(self) -> Mapping[str, Mapping[str, Any]]:
        """Variant -> what it costs against FP32."""
        return self.manifest.losses

    @property
    def running_graphs(self) -> tuple[str, ...]:
        """Those that run when it scores, and of which engines are built."""
        return self.manifest.running_graphs

    def path(self, variant: str, name: str) -> Path:
        """Where a graph lies."""
        return graph_path(self.root, variant, name)

    def remake(self, variant: str) -> str:
        """The command that makes a variant's graphs, again or for the first time."""
        if variant == "fp32":
            return f"{EXPORT_AGAIN} -o {self.root}"
        if variant == "fp16":
            return f"Make them with: jsf build-engine --fp16 --bundle {self.root}"
        if self.manifest.model in EMBEDDINGS:
            return f"Its GRUs have no INT8: FP16 is its smallest: jsf build-engine --fp16 --bundle {self.root}"
        return f"Make them with: jsf build-engine --int8 --features F --captions C --bundle {self.root}"

    @property
    def samples(self) -> Path:
        """The path of the stored inputs, whose content is the one that the manifest names.

        Raises:
            JsfError: the file is missing, or it was changed.
        """
        return checked(self.root / SAMPLES, self.manifest.samples, self.remake("fp32"))

    def check_compares(self) -> None:
        """Raises JsfError where the model is an embedding, which compares no frame with a word."""
        if self.manifest.model in EMBEDDINGS:
            raise JsfError(
                f"{self.root} is a bundle of {self.manifest.model}, which compares no frame with a word.",
                "Export a JSFusion model, or name its bundle with --bundle.",
            )

    @property
    def extractor(self) -> Path:
        """The folder of the graph that makes features of raw video; absent where the features came from elsewhere."""
        return self.root / "extractor"

    def publish(self, hashes: dict[str, dict[str, str]], losses: dict[str, dict[str, Any]]) -> None:
        """Enters variants into the manifest, by name: their graphs' SHA-256, and what they cost.

        What other programs entered since this bundle was opened stays.

        Raises:
            JsfError: the bundle was exported again meanwhile, and these graphs are of the one before.
        """
        with locked(self.root):
            now = _manifest(self.root / "manifest.json")
            if now.hashes["fp32"] != self.manifest.hashes["fp32"]:
                raise JsfError(f"{self.root} was exported again meanwhile.", "Run the same command again.")
            now.hashes.update(hashes)
            now.losses.update(losses)
            write_manifest(self.root, now)
        self.manifest.hashes.update(now.hashes)
        self.manifest.losses.update(now.losses)


def graph_path(root: Path, variant: str, name: str) -> Path:
    """Where a graph lies in a bundle."""
    return root / variant / f"{name}.onnx"


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Writes `manifest.json`, whole or not at all."""
    write_json(root / "manifest.json", asdict(manifest))


def default_bundle() -> Path:
    """`$JSF_BUNDLE`, or `./bundle`."""
    return Path(os.environ.get("JSF_BUNDLE") or "bundle")


def _manifest(path: Path) -> Manifest:
    value = read_json(path)
    if value.get("schema") != SCHEMA:
        raise JsfError(
            f"{path} has schema {value.get('schema')!r}; this jsf reads schema {SCHEMA}.",
            "Score it with the version of jsf that wrote it, or export the bundle again with this one.",
        )
    if missing := sorted({f.name for f in fields(Manifest)} - set(value)):
        raise JsfError(f"{path} lacks: {', '.join(missing)}.")
    manifest = Manifest(**{f.name: value[f.name] for f in fields(Manifest)})
    pattern = Manifest(
        "", "", "", feature_width=0, extractor="", left_padded=False, joint_width=0, opset=0, vocabulary="", samples=""
    )
    for name, expected in asdict(pattern).items():
        if type(value[name]) is not type(expected):
            raise JsfError(f"{path}: '{name}' is {value[name]!r}, expected a {type(expected).__name__}.")
    complete = (_names(hashes, manifest.graphs, str) for hashes in manifest.hashes.values())
    if not all(type(error) in (int, float) for error in manifest.parity.values()):
        raise JsfError(f"{path}: 'parity' is {manifest.parity}, expected a number for each graph.")
    if "fp32" not in manifest.hashes or not all(complete):
        raise JsfError(f"{path}: 'hashes' must name fp32, and for each variant all of: {', '.join(manifest.graphs)}.")
    wanted = [f.name for f in fields(Limits) if f.type is int] if manifest.model in EMBEDDINGS else []
    if not _names(manifest.limits, wanted, int) or not all(number > 0 for number in manifest.limits.values()):
        raise JsfError(f"{path}: 'limits' is {manifest.limits}, expected a positive number for each of: {wanted}.")
    return manifest


def _names(value: Any, wanted: Iterable[str], kind: type) -> bool:
    """Whether a value read from JSON has exactly these keys, and values of this type."""
    return isinstance(value, dict) and set(value) == set(wanted) and all(type(v) is kind for v in value.values())
