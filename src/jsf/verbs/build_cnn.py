"""`jsf build-engine --extractor`: the CNN in reduced precision, what that costs its features, and engines of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jsf.calibration.features import FeatureLimits, FeatureReport, Frames
from jsf.calibration.publish import Choices
from jsf.calibration.publish_cnn import add_cnn
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.progress import track
from jsf.export.engine import build_engines
from jsf.export.options import BuildOptions
from jsf.extraction.files import find_videos
from jsf.extraction.folder import ExtractorFolder
from jsf.extraction.preprocess import normalize
from jsf.extraction.spec import ExtractorSpec
from jsf.runtime.backends.base import Arrays
from jsf.runtime.graph_folder import CPU_INT8, VISUAL
from jsf.verbs.build_engine import announced, show_built, shown_refusal
from jsf.verbs.output import note, print_table

VIDEOS, FRAMES = 48, 8
"""Videos that are looked at, of more those at equal distances, and frames of each: every other video is held out."""

BATCH = 4
"""Frames at once: all activations of the CNN are in memory until their ranges are found."""


def show_cnn_engines(
    precision: str,
    backend: str,
    root: Path,
    videos: Sequence[Path],
    choices: Choices,
    limits: FeatureLimits,
    options: BuildOptions,
    json: bool,
) -> None:
    """Reduces the CNN, measures, builds, and prints what was built and what the precision costs.

    Raises:
        JsfError: bad input, the backend that was asked for cannot be had, or the precision costs more than allowed.
    """
    choice = announced(backend, options)
    folder = ExtractorFolder.open(root)
    with shown_refusal(lambda reports: print_reports(reports, limits), FeatureReport.loss, json):
        reports = reduce_cnn(folder, precision, videos, choices, limits)
    engines = build_engines(folder, precision, choice.backend, options)
    show_built(folder, precision, choice, engines, lambda: print_reports(reports, limits), json)
    if not (engines or json):
        print(f"{folder.path(precision, VISUAL)}: for ONNX Runtime, no engine")


def reduce_cnn(
    folder: ExtractorFolder, precision: str, videos: Sequence[Path], choices: Choices, limits: FeatureLimits
) -> list[FeatureReport]:
    """Makes the CNN in a precision where the extractor has none, or videos to measure on are given.

    Raises:
        GateError: it costs more than the limits.
        JsfError: there are no videos, or a choice is not one of this precision.
    """
    if precision != "int8" and (choices.keep or choices.auto):
        raise JsfError("--keep-fp16 and --auto are choices of --int8.", "Give --int8, or leave them out.")
    if precision == "fp32":
        if videos:
            raise JsfError("--videos measure --fp16 or --int8.", "Give one, or leave them out.")
        return []
    if videos:
        seen, held_out = draw_frames(folder.spec, find_videos(videos))
        return add_cnn(folder, precision, seen, held_out, choices, limits, note)
    if choices.keep or choices.auto or precision not in folder.hashes:
        raise JsfError(
            f"--{precision} needs videos to measure on, and the extractor has no CNN in it yet."
            if precision not in folder.hashes
            else "what INT8 keeps needs videos to calibrate and to measure on.",
            folder.remake(precision),
        )
    return []


def draw_frames(spec: ExtractorSpec, videos: Sequence[Path]) -> tuple[Frames, Frames]:
    """Frames to calibrate on, and frames of other videos to measure on; a video that cannot be read is left out.

    Raises:
        JsfError: fewer than two videos can be read.
    """
    require("av", "extract")
    from jsf.extraction.decode import read_clip

    places = np.unique(np.linspace(0, len(videos) - 1, VIDEOS).astype(int))
    clips: list[npt.NDArray[np.uint8]] = []
    for place in track(places, "reading frames", len(places)):
        try:
            clips.append(read_clip(videos[place], spec.square, FRAMES).frames)
        except JsfError as error:
            note(f"left out: {error.message}")
    if len(clips) < 2:
        raise JsfError(
            f"{len(clips)} of {len(videos)} videos can be read; two are needed, one of them to calibrate on.",
            "Name more, or folders of them: --videos FOLDER",
        )
    return _frames(spec, clips[1::2]), _frames(spec, clips[::2])


def _frames(spec: ExtractorSpec, clips: Sequence[npt.NDArray[np.uint8]]) -> Frames:
    images = np.concatenate(clips)
    starts = range(0, len(images), BATCH)

    def batches() -> Iterator[Arrays]:
        for start in starts:
            yield {spec.input: normalize(images[start : start + BATCH], spec.mean, spec.std)}

    return Frames(len(images), len(clips), len(starts), batches)


def print_reports(reports: Sequence[FeatureReport], limits: FeatureLimits) -> None:
    """What each variant costs, on frames of videos that calibration did not see."""
    rows = []
    for found in reports:
        cosine, least = f"{found.cosine_mean:.4f}", f"{found.cosine_least:.4f}"
        rows.append((found.variant, cosine, least, f"{100 * found.error:.1f}%", f"{found.bytes / 1e6:.1f}"))
    if not rows:
        return
    first = reports[0]
    title = f"features beside FP32's: {first.frames} frames of {first.videos} videos held out"
    title += f"; {first.calibration}" if first.calibration else ""
    rows.append(("fp32", "", "", "", f"{first.fp32_bytes / 1e6:.1f}"))
    rows.append(("wanted", f"{limits.min_cosine:g}", f"{limits.least:g}", "", ""))
    print_table(title, ("CNN", "mean cosine", "least", "mean error", "MB"), rows)
    for found in reports:
        higher = "FP32" if found.variant == CPU_INT8 else "FP16"
        kept = ((f"{higher} instead of INT8", found.layers_fp16), ("FP32, which FP16 does not hold", found.fp32_nodes))
        for what, names in kept:
            if names:
                print(f"{found.variant} keeps in {what}: {', '.join(names)}")
