"""The house rules: the package map is whole, the base install imports, and a device needs no PyTorch."""

import json
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jsf.cli import app
from jsf.data.sequence import FeatureSequence
from jsf.runtime.bundle import Bundle
from jsf.runtime.scorer import Scorer

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]
NEED_TORCH = (
    "jsf.models.",
    "jsf.training.",
    "jsf.export.bundle",
    "jsf.export.graphs",
    "jsf.export.hse_graphs",
    "jsf.export.parity",
    "jsf.export.fused",
    "jsf.export.torch_matcher",
    "jsf.export.tracing",
    "jsf.extraction.backbone",
    "jsf.extraction.resnet",
    "jsf.extraction.tracing",
    "jsf.extraction.vggish_network",
    "jsf.demo.control",
)
"""The modules that may import PyTorch at their top."""

TRAINING = {"torch", "lightning", "lightning_fabric", "pytorch_lightning", "torchmetrics", "onnxscript", "torchgen"}
"""What a device that scores and builds engines does not have."""

REFUSE = """
import json, sys
refused = set(json.loads(sys.argv.pop(1)))
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Refuse())
"""
"""Makes the top-level modules of the first argument unimportable."""

IMPORT_ALL = """
import importlib
failures = {}
for module in sys.argv[1:]:
    try:
        importlib.import_module(module)
    except ImportError as error:
        failures[module] = str(error)
print(json.dumps(failures))
"""

COMMAND = "from jsf.cli import main\nmain()"


def packages() -> dict[str, Path]:
    """Every package by name: a mapped folder, or a folder in one."""
    return {
        ".".join((package, *init.parent.relative_to(ROOT / folder).parts)): init.parent
        for package, folder in FOLDERS.items()
        for init in (ROOT / folder).rglob("__init__.py")
    }


def modules() -> list[str]:
    return sorted(
        package if file.stem == "__init__" else f"{package}.{file.stem}"
        for package, folder in packages().items()
        for file in folder.glob("*.py")
    )


def extras() -> set[str]:
    """The top-level modules installed here that `pip install jsf` without extras does not bring."""
    base: set[str] = set()
    queue = ["jsf"]
    while queue:
        name = canonicalize_name(queue.pop())
        if name not in base:
            base.add(name)
            wanted = [Requirement(line) for line in requires(name) or []]
            queue += [item.name for item in wanted if item.marker is None or item.marker.evaluate({"extra": ""})]
    owners = packages_distributions()
    return {module for module in owners if not base & {canonicalize_name(owner) for owner in owners[module]}}


def run(code: str, refused: set[str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own in which some packages cannot be imported."""
    command = [sys.executable, "-c", REFUSE + code, json.dumps(sorted(refused)), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_package_map_lists_every_package() -> None:
    assert set(packages()) == set(SETUPTOOLS["packages"])


def test_every_python_file_belongs_to_a_package() -> None:
    files = {file for folder in FOLDERS.values() for file in (ROOT / folder).rglob("*.py")}
    assert {file.parent for file in files} == set(packages().values())


def test_the_base_install_is_small() -> None:
    assert {"torch", "onnx", "onnxruntime", "h5py", "av", "lightning", "tensorrt_rtx"} <= extras()
    assert not {"jsf", "numpy", "typer", "rich"} & extras()


def test_every_module_imports_in_the_base_install() -> None:
    result = run(IMPORT_ALL, extras(), *modules())
    assert result.returncode == 0, result.stderr
    failures: dict[str, str] = json.loads(result.stdout)
    assert any("torch" in message for message in failures.values()), "nothing was refused: the check does not check"
    assert {name: why for name, why in failures.items() if not name.startswith(NEED_TORCH)} == {}


VERBS = [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands]


@pytest.mark.parametrize("verb", ["", *VERBS])
def test_help_works_in_the_base_install(verb: str) -> None:
    result = run(COMMAND, extras(), *verb.split(), "--help")
    assert result.returncode == 0, result.stderr
    assert f"Usage: {' '.join(['-c', *verb.split()])}" in " ".join(result.stdout.split())


def test_score_works_where_torch_cannot_be_imported(tiny_bundle: Path, tmp_path: Path) -> None:
    video = tmp_path / "video.npz"
    FeatureSequence(np.ones((9, 12), np.float32), 5, "toy 1").save(video)
    options = ["--bundle", str(tiny_bundle), "--device", "cpu", "--json"]
    result = run(COMMAND, TRAINING, "score", str(video), "a red circle", *options)
    assert result.returncode == 0, result.stderr
    score = Scorer.load(tiny_bundle, "cpu").score(video, "a red circle")
    assert json.loads(result.stdout)["scores"][0]["score"] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt-rtx"])
def test_build_engine_works_where_torch_cannot_be_imported(backend: str, tiny_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))
    result = run(COMMAND, TRAINING, "build-engine", "--fp16", "--backend", backend, "--bundle", str(copy))
    assert result.returncode == 0, result.stderr
    assert set(Bundle.open(copy).manifest.hashes) == {"fp32", "fp16"}
    assert len(list(copy.glob("engines/*/fp16/*.engine"))) == (3 if backend == "tensorrt-rtx" else 0)


def test_what_needs_torch_says_so_where_it_cannot_be_imported(tmp_path: Path) -> None:
    result = run(COMMAND, TRAINING, "export", "--ckpt", str(tmp_path / "best.pt"), "-o", str(tmp_path / "bundle"))
    assert result.returncode == 1
    assert "pip install '.[export]'" in result.stderr
