"""What training refuses before it starts."""

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.training.train import train


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"precision": "fp7"}, "fp7"),
        ({"moon": 1}, "moon"),
        ({"accelerator": "toaster"}, "toaster"),
        ({"devices": 0, "accelerator": "cpu"}, "devices"),
    ],
)
def test_a_bad_trainer_option_is_refused(options, reason, tiny, toy, tmp_path):
    with pytest.raises(JsfError, match=f"Lightning refuses these trainer options .*{reason}"):
        train(**toy, out=tmp_path / "run", preset="tiny", trainer_options=options)
    assert not (tmp_path / "run").exists()


def test_an_unknown_preset_is_refused(toy, tmp_path):
    with pytest.raises(JsfError, match="no preset 'huge', expected one of: paper, small"):
        train(**toy, out=tmp_path / "run", preset="huge")


def test_a_captioned_video_without_features_is_refused(tiny, toy, tmp_path):
    captions = tmp_path / "captions.csv"
    captions.write_text(toy["val_captions"].read_text() + "lost,red then blue\n")
    with pytest.raises(JsfError, match=r"train has no features of 'lost'; it holds 60 videos"):
        train(**{**toy, "captions": captions}, out=tmp_path / "run", preset="tiny")
    with pytest.raises(JsfError, match=r"val has no features of 'lost'; it holds 15 videos"):
        train(**{**toy, "val_captions": captions}, out=tmp_path / "run", preset="tiny")


@pytest.mark.parametrize(
    ("width", "extractor", "message"),
    [
        (8, "toy 1", "training features are 7 wide by 'toy 1', validation features 8 by 'toy 1'"),
        (7, "toy 2", "training features are 7 wide by 'toy 1', validation features 7 by 'toy 2'"),
    ],
)
def test_validation_features_of_another_kind_are_refused(width, extractor, message, tiny, toy, tmp_path):
    for video_id in open_features(toy["val_features"]).ids():
        FeatureSequence(np.ones((3, width), np.float32), 5.0, extractor).save(tmp_path / "val" / f"{video_id}.npz")
    with pytest.raises(JsfError, match=message):
        train(**{**toy, "val_features": tmp_path / "val"}, out=tmp_path / "run", preset="tiny")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_epochs": 3}, "jsf sets Lightning's max_epochs itself"),
        ({"limit_val_batches": 0, "callbacks": []}, "jsf sets Lightning's callbacks, limit_val_batches itself"),
        ({"precision": "bf16-true"}, "precision bf16-true is not trained"),
    ],
)
def test_an_option_that_a_run_relies_on_is_refused(options, reason, tiny, toy, tmp_path):
    with pytest.raises(JsfError, match=reason):
        train(**toy, out=tmp_path / "run", preset="tiny", trainer_options=options)


def test_a_folder_that_cannot_be_made_is_refused_before_training(tiny, toy, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(JsfError, match=r"cannot make the folder .*Not a directory"):
        train(**toy, out=tmp_path / "file" / "run", preset="tiny")
