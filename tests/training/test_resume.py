"""A run that is killed and resumed ends where an uninterrupted one does."""

import os
import shutil
import subprocess
import sys
import time

import pytest
import torch

from jsf.data.errors import JsfError
from jsf.models.checkpoint import Checkpoint
from jsf.models.presets import PRESETS
from jsf.training.recipe import RECIPES
from jsf.training.retrieval import RetrievalExamples
from jsf.training.train import train

EPOCHS = 6
RICH = {
    "alignment": 1.0,
    "alone": 1,
    "exchanges": 1,
    "mined": 2,
    "jitter": True,
    "validate_every": 2,
    "contrastive": True,
    "frame_dropout": 0.3,
}
"""Settings with which an epoch is not like the one before, on clips longer than 40 steps."""

SCRIPT = """
from pathlib import Path
from jsf.data.captions import read_captions
from jsf.data.split import Split
from jsf.data.store import open_features
from jsf.models.presets import PRESETS
from jsf.training.recipe import RECIPES, Recipe
from jsf.training.train import train

PRESETS["retrieval"]["tiny"], RECIPES["retrieval"]["tiny"] = {tiny!r}
root = Path({root!r})
tables = [read_captions(root / name) for name in ("train.csv", "val.csv")]
split, val = (Split(open_features(root / "features"), table) for table in tables)
train(split, val, Path({out!r}), preset="tiny", settings={settings!r})
"""
OPTIONS = {"preset": "tiny", "settings": {"epochs": EPOCHS}}


@pytest.fixture(scope="module")
def whole(tiny, toy, tmp_path_factory):
    """The folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(**toy, out=out, **OPTIONS)
    return out


def assert_same_run(found, expected, log_of):
    assert log_of(found) == log_of(expected)
    first, second = Checkpoint.load(found / "best.pt"), Checkpoint.load(expected / "best.pt")
    assert first.metrics == second.metrics
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    first, second = (torch.load(out / "last.ckpt", weights_only=True)["state_dict"] for out in (found, expected))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{}, RICH], ids=["plain", "rich"])
def test_a_killed_run_resumes_to_the_same_weights(settings, tiny, long_toy, long_root, log_of, tmp_path, monkeypatch):
    settings, out = {"epochs": EPOCHS, **settings}, tmp_path / "run"
    train(**long_toy, out=tmp_path / "whole", preset="tiny", settings=settings)
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    script = SCRIPT.format(tiny=tiny, root=str(long_root), out=str(out), settings=settings)
    process = subprocess.Popen([sys.executable, "-c", script], env=environment, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not (out / "last.ckpt").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
    finally:
        process.kill()
        process.wait()
    assert 1 <= len(log_of(out)) < EPOCHS  # it was killed on its way, after its first whole epoch
    left = EPOCHS - 1 - torch.load(out / "last.ckpt", weights_only=True)["epoch"]

    stack, stacked = RetrievalExamples.stack, []
    monkeypatch.setattr(
        RetrievalExamples, "stack", lambda self, rows, random: stacked.append(rows) or stack(self, rows, random)
    )
    train(**long_toy, out=out, preset="tiny", settings=settings, resume=True)
    assert len(stacked) == left * (61 // 8) > 0  # it trained the epochs that were left, and no other
    assert [line["epoch"] for line in log_of(out)] == list(range(EPOCHS))
    assert_same_run(out, tmp_path / "whole", log_of)


def test_a_run_killed_before_its_first_epoch_was_whole_starts_again(tiny, toy, whole, log_of, tmp_path):
    """The log and the best checkpoint are written first, last.ckpt after them: a kill may come in between."""
    out = shutil.copytree(whole, tmp_path / "run")
    (out / "last.ckpt").unlink()
    with pytest.raises(JsfError, match="already holds a run"):
        train(**toy, out=out, **OPTIONS)
    train(**toy, out=out, **OPTIONS, resume=True)
    assert_same_run(out, whole, log_of)


def test_resuming_a_finished_run_changes_nothing(tiny, toy, whole, log_of, tmp_path):
    out = shutil.copytree(whole, tmp_path / "run")
    train(**toy, out=out, **OPTIONS, resume=True)
    assert_same_run(out, whole, log_of)


def test_a_run_is_not_overwritten(tiny, toy, whole):
    before = {file.name: file.read_bytes() for file in whole.iterdir()}
    with pytest.raises(JsfError, match="already holds a run") as caught:
        train(**toy, out=whole, **OPTIONS)
    assert caught.value.fix == "Continue it with --resume, or name another folder with -o."
    assert {file.name: file.read_bytes() for file in whole.iterdir()} == before


def test_there_must_be_a_run_to_resume(tiny, toy, tmp_path):
    with pytest.raises(JsfError, match="holds no run to resume") as caught:
        train(**toy, out=tmp_path / "run", preset="tiny", resume=True)
    assert caught.value.fix == "Start it without --resume."


def test_a_run_of_another_preset_is_not_resumed(tiny, toy, whole, monkeypatch):
    model, recipe = tiny
    monkeypatch.setitem(PRESETS["retrieval"], "wider", {**model, "joint": 24})
    monkeypatch.setitem(RECIPES["retrieval"], "wider", recipe)
    with pytest.raises(JsfError, match="holds a run of other data or another preset") as caught:
        train(**toy, out=whole, preset="wider", settings={"epochs": EPOCHS}, resume=True)
    assert caught.value.fix == "Resume with the features, captions and preset that it began with."


def test_a_run_of_another_task_is_not_resumed(tiny, toy, whole):
    with pytest.raises(JsfError, match=r"holds a run of other data or another preset: .*now .*task='multiple-choice'"):
        train(**toy, out=whole, task="multiple-choice", **OPTIONS, resume=True)


def test_a_run_is_resumed_with_its_own_seed_and_epochs_alone(tiny, toy, whole):
    with pytest.raises(JsfError, match=rf"holds a run with epochs {EPOCHS}, now {EPOCHS + 1}; seed 0, now 5"):
        train(**toy, out=whole, preset="tiny", settings={"epochs": EPOCHS + 1}, seed=5, resume=True)


def test_a_run_without_its_best_checkpoint_is_not_resumed(tiny, toy, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "run")
    (out / "best.pt").unlink()
    with pytest.raises(JsfError, match=r"lacks best\.pt, so its run cannot be continued"):
        train(**toy, out=out, **OPTIONS, resume=True)


def test_a_run_that_stopped_early_stays_stopped(other_recipe, toy, log_of, tmp_path, monkeypatch):
    other_recipe(patience=1)
    monkeypatch.setattr("jsf.training.retrieval.metrics", lambda result: {"score": 1.0})
    train(**toy, out=tmp_path / "run", **OPTIONS)
    log = log_of(tmp_path / "run")
    assert len(log) == 2 < EPOCHS
    train(**toy, out=tmp_path / "run", **OPTIONS, resume=True)
    assert log_of(tmp_path / "run") == log
