"""`jsf extract`: video files to feature sequences."""

import sys
from collections.abc import Iterator
from pathlib import Path

from jsf.data.extras import require
from jsf.data.sequence import MAX_STEPS
from jsf.extraction import Extractor, Report, default_extractor, extract_files
from jsf.runtime.bundle import Bundle
from jsf.verbs.output import note, print_json
from jsf.verbs.videos import bundle_extractor

NO_LIMIT = sys.maxsize
"""Of frames, with `--all-frames`."""


def show_extraction(
    paths: list[Path],
    out: Path,
    bundle: Path | None,
    folder: Path | None,
    all_frames: bool,
    device: str,
    precision: str,
    json: bool,
) -> bool:
    """Extracts videos, says how many, and which could not be and why.

    Returns:
        Whether all could be extracted.

    Raises:
        JsfError: bad input, PyAV is not installed, or the output cannot be written.
    """
    require("av", "extract")
    if bundle:
        folder = bundle_extractor(Bundle.open(bundle))
    extractor = Extractor.open(folder or default_extractor(), device, precision)
    note(f"extracting with {extractor.identity} ({extractor.description}), {extractor.width} numbers a frame")
    try:
        report = extract_files(paths, out, extractor, NO_LIMIT if all_frames else MAX_STEPS)
    except KeyboardInterrupt:
        note("stopped: the same command goes on where it was.")
        raise
    if json:
        print_json(_as_json(report, out, extractor.identity))
        return not report.failures
    note(_summary(report))
    if report.damaged:
        lines = "\n".join(f"  {path}: {damage}" for path, damage in report.damaged.items())
        note(f"damaged, extracted all the same:\n{lines}")
    if report.failures:
        note("\n".join(["error: could not extract:", *_failures(report)]))
        if report.extracted or report.there:
            note(f"The others are in {out}; the same command skips them.")
        return False
    print(out)
    return True


def _summary(report: Report) -> str:
    """What was done: "12 videos: 10 extracted (400 frames, 3.1 s, 3.2 videos/s), 1 there before, 1 failed"."""
    speed = report.extracted / report.seconds if report.seconds else 0.0
    done = f"{report.extracted:,} extracted ({report.frames:,} frames, {report.seconds:.1f} s, {speed:.1f} videos/s)"
    parts = [done if report.extracted else "", f"{report.there:,} there before" if report.there else ""]
    parts.append(f"{len(report.silent):,} without sound, with zeros in its place" if report.silent else "")
    parts.append(f"{len(report.damaged):,} damaged" if report.damaged else "")
    parts.append(f"{len(report.failures):,} failed" if report.failures else "")
    return f"{report.videos:,} video{'s' * (report.videos != 1)}: " + ", ".join(filter(None, parts))


def _failures(report: Report) -> Iterator[str]:
    """A line for each file: most reasons begin with its name."""
    for path, reason in report.failures.items():
        yield f"  {reason}" if reason.startswith(str(path)) else f"  {path}: {reason}"


def _as_json(report: Report, out: Path, identity: str) -> dict[str, object]:
    return {
        "out": str(out),
        "extractor": identity,
        "videos": report.videos,
        "there": report.there,
        "extracted": report.extracted,
        "frames": report.frames,
        "seconds": round(report.seconds, 3),
        "silent": [str(path) for path in report.silent],
        "damaged": {str(path): damage for path, damage in report.damaged.items()},
        "failures": {str(path): reason for path, reason in report.failures.items()},
    }
