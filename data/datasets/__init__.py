"""Published data sets by name, each with its splits checked and its protocol in one line."""

from collections.abc import Callable
from pathlib import Path

from jsf.data.datasets.dataset import TASKS, Dataset
from jsf.data.datasets.folder import open_folder
from jsf.data.datasets.lsmdc import open_lsmdc
from jsf.data.datasets.msrvtt import open_msrvtt
from jsf.data.datasets.msrvtt_lists import LISTS
from jsf.data.errors import JsfError

__all__ = ["DATASETS", "TASKS", "Dataset", "open_dataset"]

DATASETS: dict[str, Callable[[Path, str], Dataset]] = {
    "lsmdc": open_lsmdc,
    "msrvtt": open_msrvtt,
    "folder": open_folder,
}


def open_dataset(name: str, root: Path, task: str, training: str | None = None) -> Dataset:
    """Opens and checks a data set; features are read, not kept.

    Args:
        name: "lsmdc", "msrvtt" or "folder".
        root: the folder that holds its files, or their folders.
        task: "retrieval", "multiple-choice" or "fill-in-the-blank".
        training: the MSR-VTT training list, "9k" or "7k"; absent, 7k for multiple choice and 9k for the others.

    Raises:
        JsfError: there is no such data set, task or list, a file is absent or damaged, or the splits are not those
            of the protocol.
    """
    for what, given, known in (("data set", name, DATASETS), ("task", task, TASKS), ("training list", training, LISTS)):
        if given is not None and given not in known:
            raise JsfError(f"there is no {what} '{given}'.", f"Choose one of: {', '.join(known)}")
    if training is None:
        return DATASETS[name](root, task)
    if name != "msrvtt":
        raise JsfError(f"the training list '{training}' is of msrvtt; {name} has one training split.")
    return open_msrvtt(root, task, training)
