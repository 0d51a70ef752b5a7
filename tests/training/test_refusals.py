"""What training refuses before it starts."""

import numpy as np
import pytest

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.split import Split
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"preset": "huge"}, "no preset 'huge', expected one of: paper, official, small"),
        (
            {"task": "captioning"},
            "no task 'captioning', expected one of: retrieval, multiple-choice, fill-in-the-blank",
        ),
        ({"model": "jst-min"}, "no model 'jst-min', expected one of: jsfusion, lstm-fusion"),
        ({"unseen": 8}, "8 numbers of a frame are to be left out, and features are 7 wide"),
    ],
)
def test_what_has_no_name_is_refused(options, message, tiny, toy, tmp_path):
    with pytest.raises(JsfError, match=message):
        train(**toy, out=tmp_path / "run", **{"preset": "tiny", **options})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("which", ["split", "val"])
def test_a_video_without_features_is_refused(which, tiny, toy, tmp_path):
    part = toy[which]
    longer = Split(part.store, [*part.rows, Caption("lost", "red then blue")])
    with pytest.raises(JsfError, match=r"features has no features of 'lost'; it holds 90 videos"):
        train(**{**toy, which: longer}, out=tmp_path / "run", preset="tiny")


@pytest.mark.parametrize(
    ("width", "extractor", "message"),
    [
        (8, "toy 1", "training features are 7 wide by 'toy 1', validation features 8 by 'toy 1'"),
        (7, "toy 2", "training features are 7 wide by 'toy 1', validation features 7 by 'toy 2'"),
    ],
)
def test_validation_features_of_another_kind_are_refused(width, extractor, message, tiny, toy, tmp_path):
    for video_id in toy["val"].video_ids:
        FeatureSequence(np.ones((3, width), np.float32), 5.0, extractor).save(tmp_path / "val" / f"{video_id}.npz")
    val = Split(open_features(tmp_path / "val"), toy["val"].rows)
    with pytest.raises(JsfError, match=message):
        train(toy["split"], val, tmp_path / "run", preset="tiny")


def test_training_features_of_two_widths_are_refused(tiny, toy, tmp_path):
    for i, video_id in enumerate(toy["split"].video_ids):
        FeatureSequence(np.ones((2, 7 - (i == 5)), np.float32), 5.0, "toy 1").save(tmp_path / f"{video_id}.npz")
    with pytest.raises(JsfError, match=r"the features differ in width: 7 \(train0\), 6 \(train5\)"):
        train(Split(open_features(tmp_path), toy["split"].rows), toy["val"], tmp_path / "run", preset="tiny")


@pytest.mark.parametrize("which", ["split", "val"])
@pytest.mark.parametrize(
    ("task", "rows", "message"),
    [
        ("retrieval", "questions", "holds questions; this task needs captions"),
        ("retrieval", "blanks", "holds blanks; this task needs captions"),
        ("multiple-choice", "blanks", "holds blanks; this task needs questions or captions"),
        ("fill-in-the-blank", "questions", "holds questions; this task needs blanks or captions"),
    ],
)
def test_rows_of_another_task_are_refused(which, task, rows, message, tiny, toy, request, tmp_path):
    others = request.getfixturevalue(f"toy_{rows}")
    with pytest.raises(JsfError, match=message):
        train(**{**toy, which: others[which]}, out=tmp_path / "run", task=task, preset="tiny")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank"])
def test_too_few_examples_are_refused(task, tiny, toy, tmp_path):
    split = Split(toy["split"].store, toy["split"].rows[:7])
    with pytest.raises(JsfError, match=r"\d+ examples are too few for 1 batches of 50"):
        train(split, toy["val"], tmp_path / "run", task, "tiny", settings={"batch": 50})


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
