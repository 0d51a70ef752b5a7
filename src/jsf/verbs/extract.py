"""`jsf extract`: video files to feature sequences."""

from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.extraction import Extractor, default_extractor, extract_files
from jsf.runtime.bundle import Bundle
from jsf.verbs.output import note
from jsf.verbs.videos import bundle_extractor, extraction_device


def show_extraction(paths: list[Path], out: Path, bundle: Path | None, device: str) -> None:
    """Extracts videos and says which could not be, and why.

    Raises:
        JsfError: bad input, PyAV is not installed, or at least one video failed.
    """
    require("av", "extract")
    folder = bundle_extractor(Bundle.open(bundle)) if bundle else default_extractor()
    extractor = Extractor.open(folder, extraction_device(device))
    note(f"extracting with {extractor.identity} ({extractor.graph.description}), {extractor.width} numbers a frame")
    failures = extract_files(paths, out, extractor)
    if failures:
        lines = "\n".join(f"  {path}: {reason}" for path, reason in failures.items())
        raise JsfError(f"could not extract:\n{lines}", f"All other videos are in {out}; the same command skips them.")
    print(out)
