"""`jsf score`: one pair, several videos ranked for a sentence, or a table of pairs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.store import open_features
from jsf.runtime.embedder import Embedder
from jsf.runtime.load import load_scorer
from jsf.runtime.pairs import score_table
from jsf.runtime.scorer import Scorer
from jsf.verbs.output import note, print_json, print_table
from jsf.verbs.videos import VideoReader, check_sentence, note_unknown


def show_scores(inputs: Sequence[str], bundle: Path | None, device: str, precision: str, json: bool) -> None:
    """Prints the score of a video and a sentence, or the videos ranked by it.

    Raises:
        JsfError: bad input; of several videos, after those that can be scored are shown.
    """
    if len(inputs) < 2:
        raise JsfError(
            f"got {len(inputs)} argument{'s' * (len(inputs) != 1)}, expected at least one video and a sentence.",
            'For example: jsf score video.npz "a car speeds toward a truck"',
        )
    *names, sentence = inputs
    check_sentence(sentence)
    scorer = load_scorer(bundle, device, precision)
    scorer.vocabulary.encode(sentence)
    note_unknown(scorer.vocabulary, [sentence])
    note(f"scoring with {scorer.description}")
    videos, failures = _read(names, scorer, device, precision)
    scores = scorer.score_pairs([(video, sentence) for video in videos.values()]).tolist() if videos else []
    ranked = sorted(zip(videos, scores, strict=True), key=lambda pair: -pair[1])
    if json:
        found = [{"video": name, "score": score} for name, score in ranked]
        failed = [{"video": name, "error": error.message} for name, error in failures.items()]
        print_json({"sentence": sentence, "backend": scorer.description, "scores": found, "failed": failed})
    elif len(names) == 1 and ranked:
        print(f"{ranked[0][1]:.4f}")
    elif ranked:
        rows = [(name, f"{score:.4f}", str(rank)) for rank, (name, score) in enumerate(ranked, start=1)]
        print_table(f'"{sentence}"', ("video", "score", "rank"), rows)
    if failures:
        error = next(iter(failures.values()))
        if len(names) == 1:
            raise error
        lines = "\n".join(f"  {name}: {error.message}" for name, error in failures.items())
        raise JsfError(f"{len(failures)} of {len(names)} videos could not be scored:\n{lines}", error.fix)


def show_pairs(
    inputs: Sequence[str],
    pairs: Path | None,
    features: Path | None,
    out: Path | None,
    bundle: Path | None,
    device: str,
    precision: str,
    json: bool,
) -> None:
    """Scores a table of pairs into a CSV, and prints where it is.

    Raises:
        JsfError: bad input.
    """
    if inputs or not pairs or not features or not out:
        raise JsfError(
            "--pairs, --features and -o go together, and take the place of VIDEO... and SENTENCE.",
            "For example: jsf score --pairs pairs.csv --features features.h5 -o scores.csv",
        )
    scorer = load_scorer(bundle, device, precision)
    note(f"scoring with {scorer.description}")
    count = score_table(scorer, pairs, open_features(features), out)
    if json:
        print_json({"pairs": count, "scores": str(out), "backend": scorer.description})
    else:
        print(f"{count:,} scores in {out}")


def _read(
    names: Sequence[str], scorer: Scorer | Embedder, device: str, precision: str
) -> tuple[dict[str, Any], dict[str, JsfError]]:
    """The features of each video, and why those that failed did."""
    videos: dict[str, Any] = {}
    failures: dict[str, JsfError] = {}
    reader = VideoReader(scorer.bundle, device, precision)
    for name in track(names, "reading videos", len(names)):
        try:
            videos[name] = scorer.features(reader.read(name))
        except JsfError as error:
            failures[name] = error
    return videos, failures
