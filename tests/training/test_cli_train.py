"""`jsf train` from the command line: where its splits come from, and what it prints."""

import json
import sys

import pytest

from jsf.cli import main
from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.models.checkpoint import Checkpoint
from jsf.training.train import train
from jsf.verbs.train import unseen_width

FAST = ["--preset", "tiny", "--epochs", "1", "--set", "batch=16"]


@pytest.fixture
def jsf(monkeypatch, capsys, tiny):
    """(arguments) -> (standard output, standard error); fails where the command does."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["jsf", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        shown = capsys.readouterr()
        assert not caught.value.code, shown.err
        return shown

    return call


@pytest.fixture
def trained_on(monkeypatch):
    """The video ids of the splits that training got."""
    seen = {}

    def spy(split: Split, val: Split, *arguments, **options):
        seen.update(train=split.video_ids, val=val.video_ids)
        return train(split, val, *arguments, **options)

    monkeypatch.setattr("jsf.training.train.train", spy)
    return seen


def test_with_validation_tables(jsf, trained_on, toy_root, tmp_path):
    features, out = toy_root / "features", tmp_path / "run"
    tables = ["--features", features, "--captions", toy_root / "train.csv"]
    shown = jsf("train", *tables, "--val-features", features, "--val-captions", toy_root / "val.csv", "-o", out, *FAST)
    assert shown.out.strip() == str(out / "best.pt")
    assert "best epoch 0: " in shown.err and "t2v_R@1" in shown.err
    assert (len(trained_on["train"]), len(trained_on["val"])) == (60, 15)
    checkpoint = Checkpoint.load(out / "best.pt")
    assert (checkpoint.recipe["epochs"], checkpoint.recipe["batch"]) == (1, 16)

    jsf(
        "train",
        *tables,
        "--val-features",
        features,
        "--val-captions",
        toy_root / "val.csv",
        "-o",
        out,
        *FAST,
        "--resume",
    )
    measured = ["--features", features, "--captions", toy_root / "val.csv", "--ckpt", out / "best.pt", "--json"]
    result = json.loads(jsf("evaluate", *measured).out)
    assert result["text_to_video"]["recall"]["1"] == pytest.approx(checkpoint.metrics["t2v_R@1"])


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank"])
def test_without_validation_tables_a_tenth_is_held_out(task, jsf, trained_on, toy_root, tmp_path):
    tables = ["--features", toy_root / "features", "--captions", toy_root / "train.csv"]
    shown = jsf("train", *tables, "--task", task, "-o", tmp_path / "run", *FAST, "--json")
    result = json.loads(shown.out)
    assert result["checkpoint"] == str(tmp_path / "run" / "best.pt")
    assert result["metrics"] == Checkpoint.load(tmp_path / "run" / "best.pt").metrics
    assert (len(trained_on["train"]), len(trained_on["val"])) == (54, 6)
    assert not set(trained_on["train"]) & set(trained_on["val"])


@pytest.mark.parametrize(
    ("task", "protocol"),
    [
        ("retrieval", "15 videos, 1 caption each"),
        ("multiple-choice", "15 questions of 5 options"),
        ("fill-in-the-blank", "15 sentences with one blank"),
    ],
)
def test_a_folder_is_a_data_set(task, protocol, jsf, trained_on, toy_root, tmp_path):
    data = ["--dataset", "folder", "--root", toy_root, "--task", task]
    jsf("train", *data, "-o", tmp_path / "run", *FAST)
    assert (len(trained_on["train"]), len(trained_on["val"])) == (60, 15)
    result = json.loads(jsf("evaluate", *data, "--ckpt", tmp_path / "run" / "best.pt", "--json").out)
    assert result["task"] == task
    assert protocol in result["protocol"]


def test_an_ablation_without_sound_leaves_out_the_last_numbers(jsf, toy_root, tmp_path):
    tables = ["--features", toy_root / "features", "--captions", toy_root / "train.csv"]
    jsf("train", *tables, "--model", "no-audio", "--audio-width", 2, "-o", tmp_path / "run", *FAST)
    config = Checkpoint.load(tmp_path / "run" / "best.pt").model.config
    assert (config.preset, config.unseen) == ("tiny, no-audio", 2)


@pytest.mark.parametrize("options", [("no-audio", None), ("jsfusion", 2)])
def test_a_model_without_sound_is_told_how_wide_sound_is(options):
    with pytest.raises(JsfError, match="--audio-width go together"):
        unseen_width(*options)
