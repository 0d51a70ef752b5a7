"""The splits that a command names: tables with features of one's own, or a published data set."""

from pathlib import Path
from typing import Any

from jsf.data.captions import Caption
from jsf.data.datasets import TASKS, Dataset, open_dataset
from jsf.data.datasets.dataset import describe
from jsf.data.datasets.tasks import as_rows
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.split import Split, hold_out
from jsf.data.store import open_features
from jsf.data.tables import Row, read_rows


def training_splits(
    features: Path | None,
    captions: Path | None,
    val_features: Path | None,
    val_captions: Path | None,
    dataset: Dataset | None,
) -> tuple[Split, Split]:
    """The split to train on and the one that chooses the epoch, held out of the first where none is named.

    Raises:
        JsfError: what is named does not go together, or cannot be read.
    """
    if dataset:
        if features or captions or val_features or val_captions:
            raise JsfError("--dataset has features and tables of its own.", "Leave out --features and --captions.")
        return dataset.train, dataset.val
    if not (features and captions):
        raise JsfError(
            "nothing to train on was named.", "Give --features and --captions, or --dataset NAME --root DIR."
        )
    if bool(val_features) != bool(val_captions):
        raise JsfError("--val-features and --val-captions go together.", "Give both, or neither to hold out a tenth.")
    split = Split(open_features(features), read_rows(captions))
    if val_features and val_captions:
        return split, Split(open_features(val_features), read_rows(val_captions))
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
    features: Path | None, captions: Path | None, dataset: str | None, root: Path | None, task: str | None, scorer: Any
) -> tuple[Split, str, str]:
    """What a model is measured on: the split, the task, and the protocol in one line.

    The task is the one that is named, else what the table holds; of a data set, else what the model was trained for.

    Raises:
        JsfError: what is named does not go together, cannot be read, or is not for the task.
    """
    if task and task not in TASKS:
        raise JsfError(f"there is no task '{task}'.", f"Choose one of: {', '.join(TASKS)}")
    if found := named_dataset(dataset, root, task or scorer.task):
        if features or captions:
            raise JsfError("--dataset has features and tables of its own.", "Leave out --features and --captions.")
        return found.test, found.task, found.protocol
    if not (features and captions):
        raise JsfError("nothing to measure on was named.", "Give --features and --captions, or --dataset and --root.")
    table = read_rows(captions)
    task = task or _task(table[0], scorer.task)
    rows = as_rows(table, task, set(scorer.vocabulary.words), str(captions))
    made = "" if type(rows[0]) is type(table[0]) else ", made of its captions"
    return Split(open_features(features), rows), task, f"{captions.name}: {describe(rows)}{made}"


def _task(row: Row, trained: str) -> str:
    """What a table of such rows measures: of captions also blanks, where the model can do nothing else."""
    if isinstance(row, Caption):
        return trained if trained == "fill-in-the-blank" else "retrieval"
    return "multiple-choice" if isinstance(row, Question) else "fill-in-the-blank"
