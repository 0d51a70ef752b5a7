"""What a bundle or an engine holds, and whether it is whole: for whoever got one from somebody else."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.files import read_json, sha256
from jsf.runtime.backends.driver import find_gpu
from jsf.runtime.backends.sidecar import EngineSidecar, obstacle
from jsf.runtime.bundle import CALIBRATION, Bundle, graph_path
from jsf.runtime.graph_folder import VARIANTS


@dataclass(frozen=True)
class GraphFile:
    """A graph that a manifest names.

    Attributes:
        variant, graph: of `VARIANTS`, and of the manifest's `graphs`.
        bytes: its size; 0 where it is missing.
        status: "ok"; "CHANGED", its SHA-256 is not the manifest's; "missing"; "unreadable".
        parity: its largest difference from PyTorch relative to the output's range; None where only FP32 was compared.
    """

    variant: str
    graph: str
    bytes: int
    status: str
    parity: float | None


@dataclass(frozen=True)
class EngineFile:
    """An engine and its sidecar.

    Attributes:
        path: the .engine file; bytes: its size, 0 where it is missing.
        sidecar: None where it is missing or damaged.
        problem: what is wrong with the files, "" where nothing is; fix: the command that mends it.
        obstacle: why an engine that is whole does not run on this machine; "" where it does.
    """

    path: Path
    bytes: int
    sidecar: EngineSidecar | None
    problem: str = ""
    fix: str = ""
    obstacle: str = ""

    @property
    def runs_here(self) -> bool:
        """Whether it is whole and for this machine."""
        return not self.problem and not self.obstacle


@dataclass(frozen=True)
class BundleReport:
    """All that a bundle holds.

    Attributes:
        bundle: the opened bundle.
        graphs, engines: every file of them, also those that are missing or damaged.
        calibration: `calibration.json` without its ranges; empty where there is none.
        problems: whatever is not as the manifest says, each with its fix.
    """

    bundle: Bundle
    graphs: list[GraphFile]
    engines: list[EngineFile]
    calibration: dict[str, Any]
    problems: list[JsfError]


def inspect_bundle(root: Path) -> BundleReport:
    """Reads all of a bundle; a damaged file is reported beside the others.

    Raises:
        JsfError: it is not a bundle, or its manifest or its vocabulary is damaged.
    """
    bundle = Bundle.open(root)
    manifest = bundle.manifest
    variants = sorted(manifest.hashes, key=lambda name: VARIANTS.index(name) if name in VARIANTS else len(VARIANTS))
    graphs = [_graph(bundle, variant, name) for variant in variants for name in manifest.graphs]
    files = (path for path in bundle.engines.glob("*/*/*") if path.suffix in (".engine", ".json"))
    engines = [inspect_engine(path, bundle) for path in sorted({path.with_suffix(".engine") for path in files})]
    broken = [g for g in graphs if g.status != "ok"]
    problems = [
        JsfError(f"{graph_path(root, g.variant, g.graph)} is {g.status}.", bundle.remake(g.variant)) for g in broken
    ]
    problems += [JsfError(engine.problem, engine.fix) for engine in engines if engine.problem]
    calibration: dict[str, Any] = {}
    try:
        bundle.samples  # noqa: B018 - reading it compares its SHA-256
        if (root / CALIBRATION).is_file():
            found = read_json(root / CALIBRATION)
            calibration = {name: found.get(name) for name in ("method", "pairs", "data", "graphs")}
    except JsfError as error:
        problems.append(error)
    return BundleReport(bundle, graphs, engines, calibration, problems)


def inspect_engine(path: Path, bundle: Bundle | None = None) -> EngineFile:
    """Reads an engine's sidecar, and compares it with the file, with the bundle's graph, and with this machine.

    Args:
        path: the .engine file.
        bundle: the bundle that holds it; None looks for it around the file.

    Raises:
        JsfError: there is neither an engine nor a sidecar, or the bundle around it is damaged.
    """
    sidecar_path = path.with_suffix(".json")
    if not path.is_file() and not sidecar_path.is_file():
        raise JsfError(f"{path} does not exist.", "Name an engine of a bundle: BUNDLE/engines/*/*/*.engine")
    path, bundle = (path, bundle) if bundle else (path.absolute(), _bundle_around(path.absolute()))
    size = path.stat().st_size if path.is_file() else 0
    try:
        sidecar = EngineSidecar.read(sidecar_path)
    except JsfError as error:
        return EngineFile(path, size, None, error.message, error.fix)
    try:
        sidecar.check_files(path, _graph_hash(path, sidecar, bundle))
    except JsfError as error:
        return EngineFile(path, size, sidecar, error.message, error.fix)
    return EngineFile(path, size, sidecar, fix=sidecar.rebuild(path), obstacle=obstacle(sidecar, find_gpu()))


def _bundle_around(engine: Path) -> Bundle | None:
    """The bundle that holds BUNDLE/engines/<backend>/<precision>/<graph>.engine; None where it lies elsewhere."""
    folders = engine.parents
    return Bundle.open(folders[3]) if len(folders) > 3 and (folders[3] / "manifest.json").is_file() else None


def _graph_hash(path: Path, sidecar: EngineSidecar, bundle: Bundle | None) -> str:
    """The SHA-256 that the engine's graph should have: the bundle's where there is one, else the sidecar's own."""
    if bundle is None:
        return sidecar.graph_sha256
    graphs = bundle.manifest.hashes.get(sidecar.precision, {})
    if sidecar.graph not in graphs:
        raise JsfError(f"{path} is of {sidecar.precision} '{sidecar.graph}', a graph that {bundle.root} does not have.")
    return graphs[sidecar.graph]


def _graph(bundle: Bundle, variant: str, name: str) -> GraphFile:
    path, parity = graph_path(bundle.root, variant, name), bundle.manifest.parity
    compared = parity.get(name) if variant == "fp32" else None
    if not path.is_file():
        return GraphFile(variant, name, 0, "missing", compared)
    try:
        status = "ok" if sha256(path) == bundle.manifest.hashes[variant][name] else "CHANGED"
    except JsfError:
        status = "unreadable"
    return GraphFile(variant, name, path.stat().st_size, status, compared)
