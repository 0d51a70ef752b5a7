"""DiDeMo: paragraphs made of the moments that each video is described by; the 1,004 of test are the gallery."""

from pathlib import Path

from jsf.data.datasets.dataset import Dataset, state_protocol
from jsf.data.datasets.files import locate_features, locate_paragraphs
from jsf.data.paragraphs import Fields
from jsf.data.split import Split

FRAMES = Fields("feature_leng", "times", "description")
"""The times of these files are in frames, of which the video has `feature_leng`; `duration` is in seconds."""

TRAIN, VAL, TEST = (
    ("train_data_bwzhang.json", 8_395),
    ("val_data_bwzhang.json", 1_065),
    ("test_data_bwzhang.json", 1_004),
)
"""The published files and their numbers of paragraphs."""


def open_didemo(root: Path) -> Dataset:
    """Opens the three `{train,val,test}_data_bwzhang.json`, each in `root` or a folder of it, and one's own features.

    Raises:
        JsfError: see `open_dataset`.
    """
    store = locate_features(root)
    train, val, test = (locate_paragraphs(root, *file, FRAMES) for file in (TRAIN, VAL, TEST))
    protocol = state_protocol("DiDeMo test", ("train", train), ("val", val), test)
    return Dataset("didemo", "retrieval", Split(store, train), Split(store, val), Split(store, test), protocol)
