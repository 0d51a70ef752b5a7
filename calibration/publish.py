"""Reduced graphs into a bundle, where the accuracy gate lets them through."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from jsf.calibration.accuracy import Scored, score_split
from jsf.calibration.candidate import measure
from jsf.calibration.collect import calibrate, calibrated_graphs, check_method
from jsf.calibration.fp16 import write_fp16
from jsf.calibration.gate import Limits
from jsf.calibration.inputs import Pairs, draw_pairs
from jsf.calibration.int8 import Int8Writer
from jsf.calibration.overflow import overflowing
from jsf.calibration.ranges import Calibration
from jsf.calibration.report import GateError, Report
from jsf.calibration.samples import load_samples
from jsf.calibration.sensitivity import layer_costs
from jsf.calibration.table import Table
from jsf.data.errors import JsfError
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.data.task_names import EMBEDDINGS
from jsf.runtime.bundle import CPU_INT8, Bundle
from jsf.runtime.graphs import load_graphs
from jsf.runtime.load import scorer_of
from jsf.runtime.scorer import Scorer

INT8 = ("int8", CPU_INT8)
"""What `--int8` writes: graphs for engines, and graphs for CPUs."""


@dataclass(frozen=True)
class Choices:
    """What a user decides.

    Attributes:
        method: how ranges are taken, of `METHODS`.
        keep: layers that stay in FP16.
        auto: keep the costliest layers too, until the gate lets the graphs through.
        limits: of the gate.
    """

    method: str = "percentile"
    keep: tuple[str, ...] = ()
    auto: bool = False
    limits: Limits = field(default_factory=Limits)


def add_int8(bundle: Bundle, table: Table, choices: Choices, say: Callable[[str], None]) -> list[Report]:
    """Calibrates, writes the INT8 graphs for engines and for CPUs, and publishes them where they pass the gate.

    Args:
        bundle: gains the graphs, their hashes and what they cost.
        table: to calibrate and to measure on.
        choices: of the user.
        say: takes a line for the user, of what is decided on the way.

    Returns:
        What each variant costs.

    Raises:
        GateError: they cost more than the limits; the bundle keeps the graphs that it had.
        JsfError: the model has no layers for INT8, a choice is not known, or the table does not fit the model.
    """
    check_method(choices.method)
    if bundle.manifest.model in EMBEDDINGS:
        raise JsfError(
            f"{bundle.manifest.model} consists of GRUs, which no backend computes in INT8.",
            f"FP16 is its smallest: jsf build-engine --fp16 --bundle {bundle.root}",
        )
    scorer = Scorer(bundle, load_graphs(bundle, "cpu", "fp32"))
    pairs = draw_pairs(scorer, table.calibration)
    calibration = find_calibration(bundle, pairs, choices.method, say)
    nodes = overflowing(bundle, pairs)
    writers = [Int8Writer(bundle, calibration, variant, nodes) for variant in INT8]
    kept = list(choices.keep)
    _check_layers(kept, writers[0].layers)
    fp32 = score_split(scorer, table.split)
    with ExitStack() as stack:
        folders = [stack.enter_context(replacing(bundle.root / writer.variant)) for writer in writers]
        while True:
            reports = [_written(*each, kept, table, fp32) for each in zip(writers, folders, strict=True)]
            failed = [i for i, report in enumerate(reports) if report.failures(choices.limits)]
            if not failed:
                break
            costs = layer_costs(writers[failed[0]], pairs, kept)
            if not choices.auto or not costs:
                raise GateError(reports, choices.limits, costs)
            kept.append(next(iter(costs)))
            say(f"{kept[-1]} stays in FP16: {reports[failed[0]].failures(choices.limits)[0]}")
        _enter(bundle, reports, folders, table)
    bundle.save_manifest()
    return reports


def add_measured_fp16(bundle: Bundle, table: Table, limits: Limits) -> list[Report]:
    """Writes the FP16 graphs, and publishes them where they pass the gate on a table; otherwise as `add_int8`."""
    table = replace(table, calibrated=frozenset())
    scorer = scorer_of(bundle, load_graphs(bundle, "cpu", "fp32"))
    samples = draw_pairs(scorer, table.split) if isinstance(scorer, Scorer) else load_samples(bundle)
    nodes = overflowing(bundle, samples)
    fp32 = score_split(scorer, table.split)
    with replacing(bundle.root / "fp16") as folder:
        paths = write_fp16(bundle, folder, nodes)
        report = measure(bundle, "fp16", paths, table, fp32, (), nodes)
        if report.failures(limits):
            raise GateError([report], limits)
        _enter(bundle, [report], [folder], table)
    bundle.save_manifest()
    return [report]


def find_calibration(bundle: Bundle, pairs: Pairs, method: str, say: Callable[[str], None]) -> Calibration:
    """The bundle's calibration where it is of exactly these graphs, these pairs and this method, else a new one."""
    path = bundle.root / "calibration.json"
    if path.is_file():
        found = Calibration.read(path)
        reason = found.mismatch(calibrated_graphs(bundle), pairs.digest, method)
        if reason is None:
            say(f"{path} is of these graphs, pairs and method: it is used again")
            return found
        say(f"{path} is refused: {reason}. Calibrating again")
    calibration = calibrate(bundle, pairs, method)
    calibration.write(path)
    return calibration


def _check_layers(kept: Sequence[str], layers: Sequence[str]) -> None:
    if unknown := [name for name in kept if name not in layers]:
        raise JsfError(
            f"--keep-fp16 {unknown[0]}: the model has no layer of this name that could be INT8.",
            f"It has: {', '.join(layers)}",
        )


def _written(writer: Int8Writer, folder: Path, kept: Sequence[str], table: Table, fp32: Scored) -> Report:
    """Writes a variant's graphs, and measures them."""
    paths = {name: folder / f"{name}.onnx" for name in writer.bundle.manifest.graphs}
    for name, path in track(paths.items(), f"writing {writer.variant}", len(paths)):
        writer.write(name, path, kept)
    return measure(writer.bundle, writer.variant, paths, table, fp32, kept, writer.float32)


def _enter(bundle: Bundle, reports: Sequence[Report], folders: Sequence[Path], table: Table) -> None:
    """Into the manifest."""
    for report, folder in zip(reports, folders, strict=True):
        bundle.manifest.hashes[report.variant] = {path.stem: sha256(path) for path in folder.iterdir()}
        bundle.manifest.losses[report.variant] = report.loss(table.name)
