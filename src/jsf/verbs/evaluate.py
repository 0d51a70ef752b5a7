"""`jsf evaluate`: a task's metrics, of a checkpoint or of a bundle."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.split import Split
from jsf.evaluation.fill_in_the_blank import FilledBlanks, evaluate_fill_in_the_blank
from jsf.evaluation.metrics import Accuracy, Ranking, chance
from jsf.evaluation.multiple_choice import evaluate_multiple_choice
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.runtime.scorer import Scorer
from jsf.verbs.output import note, print_json, print_table

EVALUATIONS: dict[str, Callable[..., Retrieval | Accuracy]] = {
    "retrieval": evaluate_retrieval,
    "multiple-choice": evaluate_multiple_choice,
    "fill-in-the-blank": evaluate_fill_in_the_blank,
}


def open_scorer(ckpt: Path | None, bundle: Path | None, device: str, precision: str) -> Any:
    """The scorer of a checkpoint or of a bundle.

    Raises:
        JsfError: both are named, or the one cannot be opened.
    """
    if ckpt and bundle:
        raise JsfError("--ckpt and --bundle were both given.", "Evaluate one at a time.")
    if not ckpt:
        return Scorer.load(bundle, device, precision)
    require("torch", "train")
    from jsf.training.scorer import CheckpointScorer

    return CheckpointScorer.load(ckpt, device, precision)


def show_evaluation(scorer: Any, split: Split, task: str, protocol: str, json: bool) -> None:
    """Evaluates a task, and prints its metrics with their 95% intervals beside chance.

    Raises:
        JsfError: the model is not for the task, or a video has no features.
    """
    note(f"scoring with {scorer.description}")
    result = EVALUATIONS[task](scorer, split.rows, split.store)
    if json:
        values = {name: value for name, value in asdict(result).items() if name != "correct"}
        print_json({"task": task, "protocol": protocol, "backend": scorer.description, **values})
    elif isinstance(result, Retrieval):
        print_retrieval(result, f"{protocol}; ties averaged")
    else:
        print_accuracy(result, f"{task}: {protocol}")


def print_retrieval(result: Retrieval, title: str) -> None:
    """Both directions, beside what chance reaches."""
    ways = (result.text_to_video, result.video_to_text)
    guess = [_values(chance(ranking.queries, ranking.gallery)) for ranking in ways]
    rows = []
    for name in _values(ways[0]) | _values(ways[1]):
        cells = [name]
        for ranking, by_chance in zip(ways, guess, strict=True):
            found, expected = _values(ranking).get(name), by_chance.get(name)
            cells += (
                (f"{found:.1f}", _between(ranking.interval[name]), f"{expected:.1f}")
                if found is not None
                else ("", "", "")
            )
        rows.append(cells)
    print_table(title, ("", "sentence\n-> video", "95%", "chance", "video ->\nsentence", "95%", "chance"), rows)


def print_accuracy(result: Accuracy, title: str) -> None:
    """The accuracy beside chance, and how many answers cannot be known."""
    rows = [("right", f"{result.accuracy:.1f}", _between(result.interval)), ("  chance", f"{result.chance:.1f}", "")]
    if isinstance(result, FilledBlanks):
        rows.insert(1, ("among the first 5", f"{result.top5:.1f}", _between(result.top5_interval)))
        if result.unknown:
            note(f"{result.unknown} of {result.questions} answers are not in the vocabulary, and count as wrong")
    print_table(title, ("", "%", "95% interval"), rows)


def _values(ranking: Ranking) -> dict[str, float]:
    recalls = {f"R@{k}": recall for k, recall in ranking.recall.items()}
    return {**recalls, "MedR": ranking.median_rank, "MeanR": ranking.mean_rank}


def _between(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1f}–{interval[1]:.1f}"
