"""The splits that a command names: tables with features of one's own, or a published data set."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsf.data.captions import Caption
from jsf.data.datasets import PARAGRAPHS, Dataset, open_dataset
from jsf.data.datasets.dataset import describe
from jsf.data.datasets.tasks import as_rows
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph, check_clips, uniform, with_proposals
from jsf.data.questions import Question
from jsf.data.split import Split, hold_out
from jsf.data.store import open_features
from jsf.data.tables import Row, read_rows
from jsf.data.task_names import CAPTIONING, EMBEDDING, FILLS, RECOGNITION, TASKS


def training_splits(
    features: Path | None,
    captions: Path | None,
    val_features: Path | None,
    val_captions: Path | None,
    dataset: Dataset | None,
    clips: str = "given",
) -> tuple[Split, Split]:
    """The split to train on and the one that chooses the epoch, held out of the first where none is named.

    `clips` are those of paragraphs, as `with_clips` takes them.

    Raises:
        JsfError: what is named does not go together, or cannot be read.
    """
    if dataset:
        if features or captions or val_features or val_captions:
            raise JsfError("--dataset has features and tables of its own.", "Leave out --features and --captions.")
        return _cut(dataset.train, clips), _cut(dataset.val, clips)
    if not (features and captions):
        raise JsfError(
            "nothing to train on was named.", "Give --features and --captions, or --dataset NAME --root DIR."
        )
    if bool(val_features) != bool(val_captions):
        raise JsfError("--val-features and --val-captions go together.", "Give both, or neither to hold out a tenth.")
    split = _cut(Split(open_features(features), read_rows(captions)), clips)
    if val_features and val_captions:
        return split, _cut(Split(open_features(val_features), read_rows(val_captions)), clips)
    rows, held = hold_out(split.rows)
    return Split(split.store, rows), Split(split.store, held)


def named_dataset(name: str | None, root: Path | None, task: str, training: str | None = None) -> Dataset | None:
    """The data set of `--dataset NAME --root DIR`, for a task, or None where neither is given.

    Raises:
        JsfError: one is given without the other, or the data set is not what its protocol says.
    """
    if (name is None) != (root is None):
        raise JsfError("--dataset and --root go together.", "For example: --dataset msrvtt --root data/msrvtt")
    if training and not name:
        raise JsfError("--training names a list of msrvtt.", "Give --dataset msrvtt --root DIR, or leave it out.")
    return open_dataset(name, root, task, training) if name and root else None


def evaluation_split(
    features: Path | None,
    captions: Path | None,
    dataset: str | None,
    root: Path | None,
    task: str | None,
    clips: str,
    scorer: Any,
) -> tuple[Split, str, str]:
    """What a model is measured on: the split, the task, and the protocol in one line.

    The task is the one that is named, else what the table holds; of a data set, else what the model was trained for.
    An embedding is measured by retrieval, of captions or of paragraphs.

    Raises:
        JsfError: what is named does not go together, cannot be read, or is not for the task.
    """
    known = (*TASKS, RECOGNITION, CAPTIONING)
    if task and task not in known:
        raise JsfError(f"there is no task '{task}'.", f"Choose one of: {', '.join(known)}")
    _check_measure(task, scorer.task, dataset)
    trained = "retrieval" if scorer.task == EMBEDDING else scorer.task
    if found := named_dataset(dataset, root, _rows_for(task or trained, scorer)):
        if features or captions:
            raise JsfError("--dataset has features and tables of its own.", "Leave out --features and --captions.")
        return _seen(_cut(found.test, clips), scorer), task or trained, found.protocol + _said(clips)
    if not (features and captions):
        raise JsfError("nothing to measure on was named.", "Give --features and --captions, or --dataset and --root.")
    table = read_rows(captions)
    task = task or _task(table[0], trained)
    rows = as_rows(table, _rows_for(task, scorer), set(scorer.vocabulary.words), str(captions))
    made = "" if type(rows[0]) is type(table[0]) else ", made of its captions"
    split = _seen(_cut(Split(open_features(features), rows), clips), scorer)
    return split, task, f"{captions.name}: {describe(rows)}{made}{_said(clips)}"


def _check_measure(task: str | None, trained: str, dataset: str | None) -> None:
    """Raises JsfError for a measure that a model of another task has no part in."""
    if task and (CAPTIONING in (task, trained) and task != trained):
        raise JsfError(f"a model for {trained} is not measured by {task}.", "Leave out --task, or name another model.")
    if task == RECOGNITION and (trained != EMBEDDING or dataset in PARAGRAPHS):
        what = f"{dataset} has paragraphs" if trained == EMBEDDING else f"a model for {trained} embeds no labels"
        raise JsfError(
            f"recognition is of labels, by an embedding: {what}.", "Name a table video_id,label, and an fse."
        )
    if task == FILLS and trained == EMBEDDING:
        raise JsfError("an embedding fills no blanks.", "Name a model that does: jsf train --task fill-in-the-blank")


def _seen(split: Split, scorer: Any) -> Split:
    """The split; raises JsfError where an embedding does not take all of the clips that were asked for."""
    if scorer.task == EMBEDDING:
        check_clips([row for row in split.rows if isinstance(row, Paragraph)], scorer.limits)
    return split


def _said(clips: str) -> str:
    return "" if clips == "given" else f", clips {clips}"


def _cut(split: Split, clips: str) -> Split:
    return Split(split.store, with_clips(split.rows, clips))


def with_clips(rows: Sequence[Row], proposals: str) -> Sequence[Row]:
    """Paragraphs with their own clips, or others.

    Args:
        rows: of one kind.
        proposals: "given" leaves the rows as they are; "uniform-4" cuts each video into four equal clips; else a JSON
            file of spans, as `with_proposals` reads it.

    Raises:
        JsfError: the rows are not paragraphs, or there are no such clips.
    """
    if proposals == "given":
        return rows
    paragraphs = [row for row in rows if isinstance(row, Paragraph)]
    if not paragraphs:
        raise JsfError(
            f"clips '{proposals}' are of paragraphs; these rows are {type(rows[0]).__name__.lower()}s.",
            "Name a .json file of paragraphs, or a data set that has them: activitynet, didemo.",
        )
    if count := re.fullmatch(r"uniform-([1-9]\d{0,2})", proposals):
        return [uniform(paragraph, int(count[1])) for paragraph in paragraphs]
    if not Path(proposals).is_file():
        raise JsfError(f"there are no clips '{proposals}'.", "Choose: given, uniform-4, or a JSON file of spans.")
    return with_proposals(paragraphs, Path(proposals))


def _rows_for(task: str, scorer: Any) -> str:
    """The task whose rows a model is measured on: an embedding's retrieval may be of paragraphs."""
    if task == RECOGNITION:
        return "retrieval"
    return EMBEDDING if (task, scorer.task) in (("retrieval", EMBEDDING), (CAPTIONING, CAPTIONING)) else task


def _task(row: Row, trained: str) -> str:
    """What a table of such rows measures: of captions also blanks, where the model can do nothing else."""
    if trained == CAPTIONING:
        return trained
    if isinstance(row, Paragraph):
        return "retrieval"
    if isinstance(row, Caption):
        return trained if trained == FILLS else "retrieval"
    return "multiple-choice" if isinstance(row, Question) else FILLS
