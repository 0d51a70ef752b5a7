"""`jsf caption`: a sentence about each clip of a video; and how good such sentences are."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsf.data.clips import Span, equal_spans
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.progress import track
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
from jsf.data.store import read_features
from jsf.data.task_names import CAPTIONING
from jsf.evaluation.captioning import evaluate_captioning
from jsf.verbs.evaluate import between
from jsf.verbs.output import note, print_json, print_table
from jsf.verbs.videos import holds_features


def show_captions(videos: list[str], ckpt: Path, device: str, json: bool) -> None:
    """Prints what a captioner tells of each clip of each video, with the times in seconds where they are known.

    Raises:
        JsfError: bad input, or PyTorch is not installed.
    """
    require("torch", "train")
    from jsf.training.hse.captioner import CheckpointCaptioner

    captioner = CheckpointCaptioner.load(ckpt, device)
    note(f"captioning with {captioner.description}")
    sequences = _read(videos, device)
    spans = equal_spans(captioner.segments)
    told = [
        [_clip(sequence, span, sentence) for span, sentence in zip(spans, sentences, strict=True)]
        for sequence, sentences in zip(sequences, captioner.caption(sequences), strict=True)
    ]
    if json:
        found = [{"video": name, "clips": clips} for name, clips in zip(videos, told, strict=True)]
        print_json({"backend": captioner.description, "videos": found})
        return
    for name, clips in zip(videos, told, strict=True):
        print(name)
        for clip in clips:
            print(f"  {_when(clip)}  {clip['sentence']}")


def show_captioning(captioner: Any, split: Split, protocol: str, json: bool) -> None:
    """Evaluates captioning: prints BLEU, METEOR and CIDEr, in percent.

    Raises:
        JsfError: the rows do not say which clip a sentence is about, a video has no features, or a package is absent.
    """
    note(f"captioning with {captioner.description}")
    result = evaluate_captioning(captioner, split.rows, split.store)
    if json:
        print_json({"task": CAPTIONING, "protocol": protocol, "backend": captioner.description, **asdict(result)})
        return
    meteor = "not measured: no Java" if result.meteor is None else f"{result.meteor:.1f}"
    rows = [(f"BLEU@{order}", f"{value:.1f}", "") for order, value in enumerate(result.bleu, start=1)]
    rows += [("METEOR", meteor, ""), ("CIDEr", f"{result.cider:.1f}", between(result.cider_interval))]
    counts = f"{result.clips:,} clips, {result.references:,} sentences"
    print_table(f"{CAPTIONING}: {protocol}; {counts}", ("", "%", "95% interval"), rows)


def _read(names: list[str], device: str) -> list[FeatureSequence]:
    """The features of each video; those of video files are extracted."""
    if folders := [name for name in names if Path(name).is_dir()]:
        raise JsfError(f"{folders[0]} is a folder.", f"Name its files: {Path(folders[0]) / '*'}")
    if all(map(holds_features, names)):
        return list(map(read_features, names))
    from jsf.extraction import Extractor, default_extractor

    extractor = Extractor.open(default_extractor(), device)
    note(f"extracting with {extractor.description}")
    reading = track(names, "reading videos", len(names))
    return [read_features(name) if holds_features(name) else extractor.extract(Path(name)) for name in reading]


def _clip(sequence: FeatureSequence, span: Span, sentence: str) -> dict[str, Any]:
    """A clip as JSON: its share of the video, its seconds where the rate is known, and what is told of it."""
    length = len(sequence.features) / sequence.fps if sequence.fps else None
    seconds = None if length is None else [share * length for share in span]
    return {"span": list(span), "seconds": seconds, "sentence": sentence}


def _when(clip: dict[str, Any]) -> str:
    if clip["seconds"] is None:
        return f"{clip['span'][0]:4.0%} - {clip['span'][1]:4.0%}"
    return f"{clip['seconds'][0]:6.1f} - {clip['seconds'][1]:6.1f} s"
