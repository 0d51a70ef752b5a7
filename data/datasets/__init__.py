"""Published data sets by name, each with its splits checked and its protocol in one line."""

from collections.abc import Callable
from pathlib import Path

from jsf.data.datasets.activitynet import open_activitynet
from jsf.data.datasets.dataset import Dataset
from jsf.data.datasets.didemo import open_didemo
from jsf.data.datasets.folder import open_folder
from jsf.data.datasets.lsmdc import open_lsmdc
from jsf.data.datasets.msrvtt import open_msrvtt
from jsf.data.datasets.msrvtt_lists import LISTS
from jsf.data.errors import JsfError
from jsf.data.task_names import EMBEDDING, TASKS

__all__ = ["DATASETS", "PARAGRAPHS", "Dataset", "open_dataset"]

DATASETS: dict[str, Callable[[Path, str], Dataset]] = {
    "lsmdc": open_lsmdc,
    "msrvtt": open_msrvtt,
    "folder": open_folder,
}
"""Those of captions, questions and blanks: name -> (root, task) -> the data set for the task."""

PARAGRAPHS: dict[str, Callable[[Path], Dataset]] = {"activitynet": open_activitynet, "didemo": open_didemo}
"""Those of paragraphs, for the task "embedding" alone."""


def open_dataset(name: str, root: Path, task: str, training: str | None = None) -> Dataset:
    """Opens and checks a data set; features are read, not kept.

    Args:
        name: one of `DATASETS` or `PARAGRAPHS`.
        root: the folder that holds its files, or their folders.
        task: one of `TASKS`, or "embedding": paragraphs where the data set has them, else as retrieval.
        training: the MSR-VTT training list, "9k" or "7k"; absent, 7k for multiple choice and 9k for the others.

    Raises:
        JsfError: there is no such data set, task or list, a file is absent or damaged, or the splits are not those
            of the protocol.
    """
    choices = (
        ("data set", name, (*DATASETS, *PARAGRAPHS)),
        ("task", task, (*TASKS, EMBEDDING)),
        ("training list", training, LISTS),
    )
    for what, given, known in choices:
        if given is not None and given not in known:
            raise JsfError(f"there is no {what} '{given}'.", f"Choose one of: {', '.join(known)}")
    if training and name != "msrvtt":
        raise JsfError(f"the training list '{training}' is of msrvtt; {name} has one training split.")
    if name in PARAGRAPHS:
        if task != EMBEDDING:
            raise JsfError(f"{name} has paragraphs; {task} models take none.", "Take one that embeds: fse or hse.")
        return PARAGRAPHS[name](root)
    measured = "retrieval" if task == EMBEDDING else task
    return open_msrvtt(root, measured, training) if training else DATASETS[name](root, measured)
