"""The whole chain on generated video files, stage by stage, by the functions behind the other verbs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from jsf.data.captions import read_captions
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import read_json, write_json
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.demo.hard import hard_negative_rates
from jsf.demo.render import render
from jsf.demo.scenes import generate
from jsf.demo.search import Hit, search
from jsf.evaluation.protocols import MatrixScorer
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.extraction import Extractor, default_extractor, extract_files
from jsf.runtime.scorer import Scorer
from jsf.verbs.output import note

PRESET = "small"
SETTINGS = {"epochs": 30, "alone": 12}
"""Fewer epochs than the preset's: these clips are easier than people speaking."""
PACKAGES = {"av": "extract", "torch": "train", "lightning": "train", "onnxscript": "export", "onnx": "quantize"}
"""What the stages need -> the extra that brings it."""


@dataclass
class Report:
    """What the demo measured on the held-out clips; `report.json`.

    Attributes:
        clips: split -> number of clips.
        retrieval: "matcher" and "control" -> both directions, recalls in percent, ranks from 1.
        hard_negatives: likewise -> kind -> percentage of clips whose caption beats it; a tie counts half.
        search: sentence -> the best clips with score and caption.
        parity: graph -> largest difference from PyTorch, relative to the output's range.
        engine: backend, the reason for it, the engines' files, what FP16 costs, and what scored here.
        seconds: stage -> wall time.
    """

    seed: int
    clips: dict[str, int]
    retrieval: dict[str, Retrieval] = field(default_factory=dict)
    hard_negatives: dict[str, dict[str, float]] = field(default_factory=dict)
    search: dict[str, list[Hit]] = field(default_factory=dict)
    parity: dict[str, float] = field(default_factory=dict)
    engine: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def run_demo(out: Path, seed: int = 0) -> Report:
    """Renders, extracts, trains, exports, builds, evaluates and searches; writes `report.json`.

    A stage continues from what an earlier run left in `out`: remove the folder to start afresh.

    Args:
        out: gets clips/, features/, run/, bundle/ and report.json.
        seed: of the clips and of the training.

    Raises:
        JsfError: a package is missing, or `out` holds something else.
    """
    for package, extra in PACKAGES.items():
        require(package, extra)
    mark = out / "clips" / "demo.json"
    if mark.is_file() and (found := read_json(mark).get("seed")) != seed:
        raise JsfError(f"{out} holds the demo of seed {found}.", f"Name another folder with -o, or remove {out}.")
    splits = generate(seed)
    report = Report(seed, {split: len(clips) for split, clips in splits.items()})
    clips, features = out / "clips", out / "features"
    with _stage(report, "render"):
        render(clips, seed)
    with _stage(report, "extract"):
        _extract(splits, clips, features)
    with _stage(report, "train"):
        _train(clips, features, out / "run", seed)
    with _stage(report, "export"):
        _export(out, report)
    with _stage(report, "build engines"):
        _build(out / "bundle", report)
    with _stage(report, "evaluate"):
        scorer = Scorer.load(out / "bundle")
        report.engine["scored by"] = scorer.description
        _evaluate("matcher", scorer, clips, features, report)
    with _stage(report, "control"):
        from jsf.demo.control import train_control

        control = train_control(features / "train", clips / "train.csv", PRESET, SETTINGS["epochs"], seed)
        _evaluate("control", control, clips, features, report)
    with _stage(report, "search"):
        report.search = search(scorer, splits["test"], features / "test")
    write_json(out / "report.json", asdict(report))
    return report


@contextmanager
def _stage(report: Report, name: str) -> Iterator[None]:
    note(f"demo: {name}")
    start = perf_counter()
    yield
    report.seconds[name] = round(perf_counter() - start, 1)


def _extract(splits: Iterable[str], clips: Path, features: Path) -> None:
    extractor = Extractor.open(default_extractor())
    for split in splits:
        if failures := extract_files([clips / split], features / split, extractor).failures:
            path, reason = next(iter(failures.items()))
            raise JsfError(f"{len(failures)} clips could not be extracted; {path}: {reason}", f"Remove {clips}.")


def _train(clips: Path, features: Path, run: Path, seed: int) -> None:
    from jsf.training.checks import LOG
    from jsf.training.train import train

    # The small preset's tensors are too small to share: a second thread brings little, and on a busy machine it costs.
    require("torch", "train").set_num_threads(1)
    split, val = (
        Split(open_features(features / name), read_captions(clips / f"{name}.csv")) for name in ("train", "val")
    )
    train(split, val, run, preset=PRESET, settings=SETTINGS, seed=seed, resume=(run / LOG).is_file())


def _export(out: Path, report: Report) -> None:
    from jsf.export.bundle import export_bundle
    from jsf.models.checkpoint import Checkpoint
    from jsf.training.checks import BEST

    bundle = export_bundle(Checkpoint.load(out / "run" / BEST), out / "bundle", default_extractor())
    report.parity = bundle.manifest.parity


def _build(root: Path, report: Report) -> None:
    from jsf.calibration.fp16 import add_fp16
    from jsf.export.engine import build_engines, choose_backend
    from jsf.runtime.bundle import Bundle

    choice, bundle = choose_backend(), Bundle.open(root)
    add_fp16(bundle)
    engines = build_engines(bundle, "fp16", choice.backend)
    files = {str(engine.relative_to(root)): engine.stat().st_size for engine in engines}
    report.engine = {**asdict(choice), "bytes": files, "fp16": bundle.manifest.losses["fp16"]}


def _evaluate(name: str, scorer: MatrixScorer, clips: Path, features: Path, report: Report) -> None:
    store, captions = open_features(features / "test"), clips / "test.csv"
    report.retrieval[name] = evaluate_retrieval(scorer, read_captions(captions), store)
    report.hard_negatives[name] = hard_negative_rates(scorer, captions, clips / "hard_negatives.csv", store)
