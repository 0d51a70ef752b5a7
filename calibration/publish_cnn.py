"""A reduced CNN into an extractor's folder, where the features stay near those in FP32."""

from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from jsf.calibration.cnn import Cnn, calibrated
from jsf.calibration.collect import check_method
from jsf.calibration.features import (
    FeatureLimits,
    FeatureReport,
    Features,
    Frames,
    cosines,
    relative_errors,
    run_cnn,
    run_reduced,
)
from jsf.calibration.keep import until_it_passes
from jsf.calibration.publish import INT8, Choices, check_layers
from jsf.calibration.sensitivity import leave_out
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.runtime.graph_folder import CPU_INT8, VISUAL, GraphFolder

FP32 = "Extract with --precision fp32"

TRIED = 2
"""Batches on which layers are left out in turn."""


def add_cnn(
    folder: GraphFolder,
    precision: str,
    seen: Frames,
    held_out: Frames,
    choices: Choices,
    limits: FeatureLimits,
    say: Callable[[str], None],
) -> list[FeatureReport]:
    """Reduces the CNN of an extractor, and publishes it where its features pass the gate.

    Args:
        folder: gains the graphs, their hashes and what they cost.
        precision: "fp16" or "int8".
        seen: to calibrate on.
        held_out: to measure on, of other videos.
        choices: of the user; their limits are of scores, and not looked at.
        limits: of the gate.
        say: takes a line for the user, of what is decided on the way.

    Returns:
        What each variant costs.

    Raises:
        GateError: they cost more than the limits; the folder is as it was.
        JsfError: a choice is not known, or the graph cannot be reduced.
    """
    check_method(choices.method)
    variants = INT8 if precision == "int8" else (precision,)
    kept = list(choices.keep)
    with ExitStack() as stack:
        source = folder.graph("fp32", VISUAL)
        cnn = calibrated(source, Path(stack.enter_context(TemporaryDirectory())), precision, seen, choices.method)
        if precision == "int8":
            check_layers(kept, list(cnn.inputs))
        calibration = f"{choices.method}, {seen.count} frames of {seen.videos} videos" if cnn.inputs else ""
        expected = run_cnn(source, held_out)
        places = [stack.enter_context(replacing(folder.root / variant)) / f"{VISUAL}.onnx" for variant in variants]

        def write() -> list[FeatureReport]:
            reports = []
            for variant, place in track(list(zip(variants, places, strict=True)), f"writing {precision}", len(places)):
                cnn.write(variant, place, kept)
                report = measure(cnn, variant, place, held_out, expected)
                reports.append(replace(report, calibration=calibration, layers_fp16=list(kept)))
            return reports

        reports = until_it_passes(
            write,
            lambda report: report.failures(limits),
            lambda failed: layer_costs(cnn, variants[failed], kept, seen) if cnn.inputs else {},
            kept,
            choices.auto,
            say,
            FP32,
        )
        hashes = {variant: {VISUAL: sha256(place)} for variant, place in zip(variants, places, strict=True)}
    folder.publish(hashes, {report.variant: report.loss() for report in reports})
    return reports


def measure(cnn: Cnn, variant: str, path: Path, frames: Frames, expected: Features) -> FeatureReport:
    """How far a variant's features lie from those `expected`; raises JsfError where one is not finite."""
    found = run_reduced(variant, path, frames)
    similar = cosines(expected, found)
    return FeatureReport(
        variant,
        frames.count,
        frames.videos,
        float(similar.mean()),
        float(similar.min()),
        float(relative_errors(expected, found).mean()),
        path.stat().st_size,
        cnn.source.stat().st_size,
        "",
        [],
        [] if variant == CPU_INT8 else cnn.float32,
    )


def layer_costs(cnn: Cnn, variant: str, kept: Sequence[str], frames: Frames) -> dict[str, float]:
    """Layer -> the share of the features' mean relative error that goes when it stays in higher precision."""
    few = replace(frames, batches=lambda: islice(frames.batches(), TRIED), runs=1)
    expected = run_cnn(cnn.source, few)
    with TemporaryDirectory() as folder:
        target = Path(folder) / f"{VISUAL}.onnx"

        def error(without: Collection[str]) -> float:
            cnn.write(variant, target, without)
            return float(relative_errors(expected, run_reduced(variant, target, few)).mean())

        layers = [layer for layer in cnn.inputs if layer not in kept]
        return leave_out(lambda layer: error({*kept, layer}), layers, error(kept))
