"""`jsf explain`: what the score of a video and a sentence rests on, as a picture or as numbers."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.sequence import FeatureSequence, sample_steps
from jsf.data.store import read_features
from jsf.data.vocabulary import Vocabulary
from jsf.runtime.bundle import Bundle, default_bundle
from jsf.runtime.explain import Explanation, explain
from jsf.verbs.maps import check_format, draw_maps
from jsf.verbs.output import note, print_json
from jsf.verbs.videos import VideoReader, holds_features

THUMBNAIL = 128
"""Pixels of a side."""

Found: TypeAlias = tuple[FeatureSequence, Vocabulary, list[Explanation]]


def show_explanation(
    video: str, sentence: str, against: str | None, out: Path | None, ckpt: Path | None, bundle: Path | None, json: bool
) -> None:
    """Draws the maps of a sentence, beside those of another sentence `against` it, or prints them as JSON.

    Raises:
        JsfError: bad input.
    """
    if ckpt and bundle:
        raise JsfError("--ckpt and --bundle were both given.", "Explain one at a time.")
    if not out and not json:
        raise JsfError("there is nowhere to draw: -o was not given.", "Name a file, -o map.png, or print with --json.")
    if out:
        check_format(out)
    sentences = [sentence] if against is None else [sentence, against]
    reading = _from_checkpoint(video, sentences, ckpt) if ckpt else _from_bundle(video, sentences, bundle)
    features, vocabulary, found = reading
    if unknown := [word for text in sentences for word in vocabulary.unknown(text)]:
        note(f"words that the model does not know are left out: {', '.join(unknown)}")
    if out:
        steps = len(sample_steps(len(features.features)))
        seconds = len(features.features) / steps / features.fps if features.fps else 0.0
        draw_maps(found, sentences, _thumbnails(video, steps), seconds, out)
    if json:
        maps = [{"sentence": text, **_numbers(each)} for text, each in zip(sentences, found, strict=True)]
        print_json({"video": video, "maps": maps, "picture": str(out) if out else None})
    else:
        print(out)


def _from_bundle(video: str, sentences: list[str], root: Path | None) -> Found:
    bundle = Bundle.open(root or default_bundle())
    features = VideoReader(bundle).read(video)
    return features, bundle.vocabulary, explain(bundle, features, sentences)


def _from_checkpoint(video: str, sentences: list[str], path: Path) -> Found:
    require("torch", "train")
    from jsf.extraction import Extractor, default_extractor
    from jsf.models.checkpoint import Checkpoint
    from jsf.training.explain import explain as explain_checkpoint

    checkpoint = Checkpoint.load(path)
    if holds_features(video):
        features = read_features(video)
    else:
        features = Extractor.open(default_extractor()).extract(Path(video))
    return features, checkpoint.vocabulary, explain_checkpoint(checkpoint, features, sentences)


def _thumbnails(video: str, steps: int) -> npt.NDArray[np.uint8] | None:
    """The frames [n, S, S, 3] that the features are of, where the video file is at hand and has as many."""
    from jsf.extraction.decode import read_clip
    from jsf.extraction.preprocess import Square

    if not (path := _video_file(video)):
        note(f"no thumbnails: {video} does not name a video file that is there")
        return None
    try:
        frames = read_clip(path, Square(THUMBNAIL)).frames
    except JsfError as error:
        note(f"no thumbnails: {error.message}")
        return None
    if len(frames) != steps:
        note(f"no thumbnails: {path} has {len(frames)} sampled frames, and the features {steps}")
        return None
    return frames


def _video_file(video: str) -> Path | None:
    """The video itself, or the file that features say they were extracted from."""
    if not holds_features(video):
        return Path(video)
    if not video.lower().endswith(".npz"):
        return None
    with np.load(video, allow_pickle=False) as arrays:
        source = Path(str(arrays["source"])) if "source" in arrays else Path()
    try:
        return source if source.is_file() else None
    except OSError:  # a name too long for the system
        return None


def _numbers(explanation: Explanation) -> dict[str, Any]:
    value = asdict(explanation)
    stages, gates = ([cells.tolist() for cells in value[name]] for name in ("stages", "gates"))
    return {**value, "attention": explanation.attention.tolist(), "stages": stages, "gates": gates}
