"""`jsf inspect`: what a bundle or an engine holds, whether it is whole, and whether it runs here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.extraction.spec import ExtractorSpec
from jsf.runtime.backends.sidecar import numbers
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.runtime.graph_folder import PRECISIONS
from jsf.runtime.inspect import BundleReport, EngineFile, inspect_bundle, inspect_engine
from jsf.runtime.layer_times import Times, layer_times
from jsf.verbs.facts import in_words, print_facts
from jsf.verbs.losses import print_losses
from jsf.verbs.output import note, print_json, print_table

SLOWEST = 15
"""Layers that are shown."""


def show_inspection(path: Path | None, json: bool) -> None:
    """Prints what is in a bundle's folder or an .engine file.

    Raises:
        JsfError: it is neither, or something of it is missing, changed or damaged: after the rest is shown.
    """
    path = path or default_bundle()
    if path.suffix == ".engine":
        _show_engine(path, json)
    elif path.is_file():
        raise JsfError(f"{path} is neither a bundle's folder nor an .engine file.", "Name one: jsf inspect BUNDLE")
    else:
        _show_bundle(path, json)


def _show_bundle(root: Path, json: bool) -> None:
    report = inspect_bundle(root)
    extractor = _extractor(report)
    if json:
        print_json(_bundle_values(report, extractor))
    else:
        _print_bundle(report, extractor)
    if report.problems:
        lines = "\n".join(f"  {problem.message}" for problem in report.problems)
        fixes = "\n".join(dict.fromkeys(problem.fix for problem in report.problems if problem.fix))
        raise JsfError(f"{root} is not whole:\n{lines}", fixes)


def _print_bundle(report: BundleReport, extractor: str) -> None:
    bundle, manifest = report.bundle, report.bundle.manifest
    print_facts(
        {
            "bundle": str(bundle.root),
            "model": f"{manifest.model}, {manifest.task}, preset {manifest.preset}",
            "features": f"{manifest.feature_width} wide, of {manifest.extractor or 'an extractor that is not named'}",
            "extractor": extractor,
            "vocabulary": f"{len(bundle.vocabulary.words):,} words",
            "joint width": manifest.joint_width,
            "limits": in_words(manifest.limits),
            "opset": manifest.opset,
            "written by": in_words(manifest.tools),
            "calibration": _calibration(report.calibration),
        }
    )
    rows = [
        (f"{g.variant}/{g.graph}", f"{g.bytes / 1e6:.1f}", "" if g.parity is None else f"{g.parity:.1e}", g.status)
        for g in report.graphs
    ]
    print_table("graphs", ("graph", "MB", "difference from PyTorch", "file"), rows)
    print_losses(bundle)
    for folder, engines in groupby(report.engines, key=lambda engine: engine.path.parents[1]):
        _print_engines(str(folder.relative_to(bundle.root)), list(engines))


def _print_engines(title: str, engines: list[EngineFile]) -> None:
    """The engines of one backend, version and GPU, and why some of them do not run here."""
    rows = [
        (
            f"{engine.path.parent.name}/{engine.path.stem}",
            f"{engine.bytes / 1e6:.1f}",
            in_words(engine.sidecar.layers) if engine.sidecar else "",
            "UNUSABLE" if engine.problem else "no" if engine.obstacle else "yes",
        )
        for engine in engines
    ]
    gpus = {gpu for engine in engines if engine.sidecar for gpu in engine.sidecar.compute_capabilities}
    of = f", GPUs {', '.join(sorted(gpus, key=numbers))}" if gpus else ""
    print_table(title + of, ("engine", "MB", "layers", "runs here"), rows)
    for reason in dict.fromkeys(engine.obstacle for engine in engines if engine.obstacle):
        print(f"does not run here: {reason}")


def _show_engine(path: Path, json: bool) -> None:
    engine = inspect_engine(path)
    trusted = engine.sidecar is not None and not engine.sidecar.version_compatible  # which carries code for the CPU
    times = layer_times(engine.path) if engine.runs_here and trusted else []
    if json:
        print_json({**_engine_values(engine), "layer_ms": times})
    else:
        _print_engine(engine, times)
    if engine.problem:
        raise JsfError(engine.problem, engine.fix)


def _print_engine(engine: EngineFile, times: Sequence[Times]) -> None:
    log = engine.path.with_suffix(".log")
    facts: dict[str, Any] = {"engine": engine.path, "MB": f"{engine.bytes / 1e6:.1f}"}
    values = asdict(engine.sidecar) if engine.sidecar else {}
    types, profiles = values.pop("types", {}), values.pop("profiles", [])
    for name, value in values.items():
        facts[name.replace("_", " ")] = in_words(value) if isinstance(value, dict) else value
    facts["build log"] = log if log.is_file() else "none"
    facts["runs here"] = (
        "no, see the error" if engine.problem else f"no: {engine.obstacle}" if engine.obstacle else "yes"
    )
    print_facts(facts)
    if types:
        print_table("layers with weights", ("layer", "type"), types.items())
    _print_profiles(profiles, times)
    if times:
        largest = times[-1]
        total, slowest = sum(largest.values()), list(largest.items())[:SLOWEST]
        rows = [(name, f"{ms:.3f}", f"{100 * ms / total:.1f}") for name, ms in slowest]
        count = f"the {SLOWEST} slowest of {len(largest)}" if len(largest) > SLOWEST else f"{len(largest)}"
        where = " of the last profile" if len(times) > 1 else ""
        print_table(f"{count} layers{where}, {total:.2f} ms in all", ("layer", "ms", "%"), rows)
    elif engine.obstacle:
        note(f"no times of layers: {engine.obstacle}")


def _print_profiles(profiles: Sequence[Mapping[str, Sequence[int]]], times: Sequence[Times]) -> None:
    """The lengths that an engine runs at, each from the least to the greatest, and how long it takes at the usual."""
    names = list(profiles[0]) if profiles else []
    rows = [
        (*(_lengths(*profile[name]) for name in names), *([f"{sum(times[number].values()):.2f}"] if times else []))
        for number, profile in enumerate(profiles)
    ]
    if rows:
        print_table("profiles: lengths, the usual in brackets", (*names, *(["ms at the usual"] if times else [])), rows)


def _lengths(least: int, usual: int, greatest: int) -> str:
    return str(usual) if least == greatest else f"{least}-{greatest} ({usual})"


def _bundle_values(report: BundleReport, extractor: str) -> dict[str, Any]:
    return {
        "bundle": str(report.bundle.root),
        "manifest": asdict(report.bundle.manifest),
        "vocabulary_words": len(report.bundle.vocabulary.words),
        "extractor": extractor,
        "graphs": [asdict(graph) for graph in report.graphs],
        "calibration": report.calibration,
        "engines": [_engine_values(engine) for engine in report.engines],
        "problems": [problem.message for problem in report.problems],
    }


def _engine_values(engine: EngineFile) -> dict[str, Any]:
    return {**asdict(engine), "path": str(engine.path), "runs_here": engine.runs_here}


def _extractor(report: BundleReport) -> str:
    """The bundle's own extractor in words; what is wrong with it joins the report's problems."""
    bundle: Bundle = report.bundle
    if not bundle.extractor.is_dir():
        return "none: it scores feature files only"
    try:
        spec = ExtractorSpec.load(bundle.extractor)
        others = [precision for precision in PRECISIONS if precision in spec.reduced]
        return f"{spec.identity}, in the bundle" + (f", also in {' and '.join(others)}" if others else "")
    except JsfError as error:
        report.problems.append(error)
        return "DAMAGED"


def _calibration(calibration: Mapping[str, Any]) -> str:
    if not calibration:
        return ""
    return f"{calibration['method']}, {calibration['pairs']} pairs, data {str(calibration['data'])[:12]}..."
