"""Reduced graphs into a bundle, where the accuracy gate lets them through."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from jsf.calibration.accuracy import Scored, score_split
from jsf.calibration.candidate import measure
from jsf.calibration.collect import calibrate, calibrated_graphs, calibrated_layers, check_method
from jsf.calibration.fp16 import write_fp16
from jsf.calibration.gate import Limits
from jsf.calibration.inputs import Pairs, draw_pairs
from jsf.calibration.int8 import Int8Writer
from jsf.calibration.keep import until_it_passes
from jsf.calibration.overflow import overflowing
from jsf.calibration.ranges import Calibration
from jsf.calibration.report import GateError, Report
from jsf.calibration.samples import load_samples
from jsf.calibration.sensitivity import layer_costs
from jsf.calibration.table import Table
from jsf.data.errors import JsfError
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.runtime.bundle import CALIBRATION, Bundle
from jsf.runtime.graph_folder import CPU_INT8
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
        GateError: they cost more than the limits; the bundle keeps the graphs that it had, and gains calibration.json.
        JsfError: a choice is not known, the table does not fit the model, or that is an embedding, which has no INT8.
    """
    check_method(choices.method)
    layers, kept = calibrated_layers(bundle), list(choices.keep)
    check_layers(kept, [name for names in layers.values() for name in names])
    scorer = Scorer(bundle, load_graphs(bundle, "cpu", "fp32"))
    pairs = draw_pairs(scorer, table.calibration)
    calibration = find_calibration(bundle, pairs, layers, choices.method, say)
    nodes = overflowing(bundle, pairs)
    writers = [Int8Writer(bundle, calibration, variant, nodes) for variant in INT8]
    fp32 = score_split(scorer, table.split)
    say(f"measuring on {fp32.scores.size:,} pairs, in each of {len(INT8)} variants")
    with ExitStack() as stack:
        folders = [stack.enter_context(replacing(bundle.root / writer.variant)) for writer in writers]
        reports = until_it_passes(
            lambda: [_written(*each, kept, table, fp32, pairs) for each in zip(writers, folders, strict=True)],
            lambda report: report.failures(choices.limits),
            lambda failed: layer_costs(writers[failed], pairs, kept),
            kept,
            choices.auto,
            say,
        )
        hashes = [_hashes(folder) for folder in folders]
    _publish(bundle, reports, hashes, table)
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
        if failures := report.failures(limits):
            raise GateError([report], {"fp16": failures})
        hashes = _hashes(folder)
    _publish(bundle, [report], [hashes], table)
    return [report]


def find_calibration(
    bundle: Bundle, pairs: Pairs, layers: dict[str, list[str]], method: str, say: Callable[[str], None]
) -> Calibration:
    """The bundle's calibration where it is of exactly these graphs, these pairs and this method, else a new one."""
    path = bundle.root / CALIBRATION
    if path.is_file():
        found = Calibration.read(path)
        reason = found.mismatch(calibrated_graphs(bundle), layers, pairs.digest, method)
        if reason is None:
            say(f"{path} is of these graphs, pairs and method: it is used again")
            return found
        say(f"{path} is refused: {reason}. Calibrating again")
    calibration = calibrate(bundle, pairs, method)
    calibration.write(path)  # also where the gate then refuses: the next try keeps layers, and these ranges
    return calibration


def check_layers(kept: Sequence[str], layers: Sequence[str]) -> None:
    """Raises JsfError where a layer is not known, or none is left for INT8."""
    if not set(layers) - set(kept):
        raise JsfError("no layer is left for INT8.", "Take FP16: jsf build-engine --fp16")
    if unknown := [name for name in kept if name not in layers]:
        raise JsfError(
            f"--keep-fp16 {unknown[0]}: the model has no layer of this name that could be INT8.",
            f"It has: {', '.join(layers)}",
        )


def _written(writer: Int8Writer, folder: Path, kept: Sequence[str], table: Table, fp32: Scored, pairs: Pairs) -> Report:
    """Writes a variant's graphs, and measures them."""
    paths = {name: folder / f"{name}.onnx" for name in writer.bundle.manifest.graphs}
    for name, path in track(paths.items(), f"writing {writer.variant}", len(paths)):
        writer.write(name, path, kept)
    made_of = str(writer.calibration), len(pairs.videos["lengths"])
    return measure(writer.bundle, writer.variant, paths, table, fp32, kept, writer.float32, *made_of)


def _hashes(folder: Path) -> dict[str, str]:
    """Graph -> its SHA-256."""
    return {path.stem: sha256(path) for path in folder.iterdir()}


def _publish(bundle: Bundle, reports: Sequence[Report], hashes: Sequence[dict[str, str]], table: Table) -> None:
    """Into the manifest; the folders are in their places."""
    losses = {report.variant: report.loss(table.name) for report in reports}
    bundle.publish({report.variant: found for report, found in zip(reports, hashes, strict=True)}, losses)
