"""`jsf evaluate`: a task's metrics, of a checkpoint or of a bundle."""

from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.paragraphs import Paragraph
from jsf.data.split import Split
from jsf.data.task_names import CAPTIONING, EMBEDDING
from jsf.evaluation.fill_in_the_blank import FilledBlanks, evaluate_fill_in_the_blank
from jsf.evaluation.metrics import Accuracy, Ranking, chance
from jsf.evaluation.multiple_choice import evaluate_multiple_choice
from jsf.evaluation.paragraphs import evaluate_paragraphs
from jsf.evaluation.recognition import Recognition
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.runtime.load import load_scorer
from jsf.verbs.output import note, print_json, print_table

EVALUATIONS: dict[str, Callable[..., Retrieval | Accuracy]] = {
    "retrieval": evaluate_retrieval,
    EMBEDDING: evaluate_paragraphs,
    "multiple-choice": evaluate_multiple_choice,
    "fill-in-the-blank": evaluate_fill_in_the_blank,
}
"""By task; retrieval by an embedding sees videos whole, or their clips."""


SCORERS = {
    EMBEDDING: ("jsf.training.hse.embedder", "CheckpointEmbedder"),
    CAPTIONING: ("jsf.training.hse.captioner", "CheckpointCaptioner"),
}
"""What scores with a checkpoint that is not JSFusion's, by its task; imported when it is needed."""


def open_scorer(ckpt: Path | None, bundle: Path | None, device: str, precision: str) -> Any:
    """The scorer or the embedder of a checkpoint or of a bundle, or a checkpoint's captioner.

    Raises:
        JsfError: both are named, or the one cannot be opened.
    """
    if ckpt and bundle:
        raise JsfError("--ckpt and --bundle were both given.", "Evaluate one at a time.")
    if not ckpt:
        return load_scorer(bundle, device, precision)
    require("torch", "train")
    from jsf.models.checkpoint import Checkpoint
    from jsf.training.scorer import on_device

    checkpoint = Checkpoint.load(ckpt)
    module, name = SCORERS.get(checkpoint.model.config.task, ("jsf.training.scorer", "CheckpointScorer"))
    model = on_device(checkpoint.model, ckpt, device, precision)
    return getattr(import_module(module), name)(model, checkpoint.vocabulary, checkpoint.extractor)


def check_embeds(scorer: Any) -> None:
    """Raises JsfError where a model scores pairs, and puts no video or text into a space of its own."""
    if scorer.task != EMBEDDING:
        raise JsfError(
            f"a model for {scorer.task} embeds neither videos nor texts.",
            "Name one that does, an FSE or an HSE: jsf train --model hse",
        )


def show_evaluation(scorer: Any, split: Split, task: str, protocol: str, json: bool) -> None:
    """Evaluates a task, and prints its metrics with their 95% intervals beside chance.

    Raises:
        JsfError: the model is not for the task, or a video has no features.
    """
    note(f"scoring with {scorer.description}")
    kind = EMBEDDING if (scorer.task, task) == (EMBEDDING, "retrieval") else task
    result = EVALUATIONS[kind](scorer, split.rows, split.store)
    if json:
        print_json({"task": task, "protocol": protocol, "backend": scorer.description, **numbers(result)})
    elif isinstance(result, Retrieval):
        print_retrieval(result, f"{protocol}; ties averaged", text_name(split))
    else:
        print_accuracy(result, f"{task}: {protocol}")


def text_name(split: Split) -> str:
    """What a text of the split is called."""
    return "paragraph" if isinstance(split.rows[0], Paragraph) else "sentence"


def print_retrieval(result: Retrieval, title: str, text: str) -> None:
    """Both directions, beside what chance reaches."""
    ways = (result.text_to_video, result.video_to_text)
    guess = [named_values(chance(ranking.queries, ranking.gallery)) for ranking in ways]
    rows = []
    for name in named_values(ways[0]) | named_values(ways[1]):
        cells = [name]
        for ranking, by_chance in zip(ways, guess, strict=True):
            found, expected = named_values(ranking).get(name), by_chance.get(name)
            cells += (
                (f"{found:.1f}", between(ranking.interval[name]), f"{expected:.1f}")
                if found is not None
                else ("", "", "")
            )
        rows.append(cells)
    print_table(title, ("", f"{text}\n-> video", "95%", "chance", f"video ->\n{text}", "95%", "chance"), rows)


def print_accuracy(result: Accuracy, title: str) -> None:
    """The accuracy beside chance, and how many answers cannot be known."""
    rows = [("right", f"{result.accuracy:.1f}", between(result.interval)), ("  chance", f"{result.chance:.1f}", "")]
    if isinstance(result, (FilledBlanks, Recognition)):
        rows.insert(1, ("among the first 5", f"{result.top5:.1f}", between(result.top5_interval)))
        if result.unknown:
            among = "in the vocabulary" if isinstance(result, FilledBlanks) else "among the labels of training"
            note(f"{result.unknown} of {result.questions} answers are not {among}, and count as wrong")
    if isinstance(result, Recognition):
        rows.append(("  chance of the first 5", f"{result.top5_chance:.1f}", ""))
    print_table(title, ("", "%", "95% interval"), rows)


def numbers(result: Retrieval | Accuracy) -> dict[str, Any]:
    """What is printed as JSON: all but what each question counts."""
    return {name: value for name, value in asdict(result).items() if name != "correct"}


def named_values(ranking: Ranking) -> dict[str, float]:
    """R@1, ..., MedR and MeanR by name, as in `Ranking.interval`."""
    recalls = {f"R@{k}": recall for k, recall in ranking.recall.items()}
    return {**recalls, "MedR": ranking.median_rank, "MeanR": ranking.mean_rank}


def between(interval: tuple[float, float]) -> str:
    """An interval in a table."""
    return f"{interval[0]:.1f}–{interval[1]:.1f}"
