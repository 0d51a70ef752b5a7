"""A run that is killed and resumed ends where an uninterrupted one does."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time

import pytest
import torch

from jsf.data.errors import JsfError
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import PRESETS
from jsf.training.batches import Captions
from jsf.training.recipe import RECIPES
from jsf.training.train import train

EPOCHS = 6

SCRIPT = """
from pathlib import Path
from jsf.models.config import PRESETS, JSFusionConfig
from jsf.training.recipe import RECIPES, Recipe
from jsf.training.train import train

PRESETS["tiny"], RECIPES["tiny"] = {tiny!r}
paths = {paths!r}
train(**{{name: Path(path) for name, path in paths.items()}}, preset="tiny", epochs={epochs})
"""


@pytest.fixture(scope="module")
def whole(tiny, toy, tmp_path_factory):
    """The folder of an uninterrupted run."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(**toy, out=out, preset="tiny", epochs=EPOCHS)
    return out


def log_of(out):
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def assert_same_run(found, expected):
    assert log_of(found) == log_of(expected)
    first, second = Checkpoint.load(found / "best.pt"), Checkpoint.load(expected / "best.pt")
    assert first.metrics == second.metrics
    torch.testing.assert_close(first.model.state_dict(), second.model.state_dict(), rtol=0, atol=0)
    first, second = (torch.load(out / "last.ckpt", weights_only=True)["state_dict"] for out in (found, expected))
    torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_a_killed_run_resumes_to_the_same_weights(tiny, toy, whole, tmp_path, monkeypatch):
    out = tmp_path / "run"
    paths = {name: str(path) for name, path in (toy | {"out": out}).items()}
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    script = SCRIPT.format(tiny=tiny, paths=paths, epochs=EPOCHS)
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

    stack, stacked = Captions.stack, []
    monkeypatch.setattr(Captions, "stack", lambda self, rows: stacked.append(rows) or stack(self, rows))
    train(**toy, out=out, preset="tiny", epochs=EPOCHS, resume=True)
    assert len(stacked) == left * (61 // 8) > 0  # it trained the epochs that were left, and no other
    assert [line["epoch"] for line in log_of(out)] == list(range(EPOCHS))
    assert_same_run(out, whole)


def test_a_run_killed_before_its_first_epoch_was_whole_starts_again(tiny, toy, whole, tmp_path):
    """The log and the best checkpoint are written first, last.ckpt after them: a kill may come in between."""
    out = shutil.copytree(whole, tmp_path / "run")
    (out / "last.ckpt").unlink()
    with pytest.raises(JsfError, match="already holds a run"):
        train(**toy, out=out, preset="tiny", epochs=EPOCHS)
    train(**toy, out=out, preset="tiny", epochs=EPOCHS, resume=True)
    assert_same_run(out, whole)


def test_resuming_a_finished_run_changes_nothing(tiny, toy, whole, tmp_path):
    out = shutil.copytree(whole, tmp_path / "run")
    train(**toy, out=out, preset="tiny", epochs=EPOCHS, resume=True)
    assert_same_run(out, whole)


def test_a_run_is_not_overwritten(tiny, toy, whole):
    before = {file.name: file.read_bytes() for file in whole.iterdir()}
    with pytest.raises(JsfError, match="already holds a run") as caught:
        train(**toy, out=whole, preset="tiny", epochs=EPOCHS)
    assert caught.value.fix == "Continue it with --resume, or name another folder with -o."
    assert {file.name: file.read_bytes() for file in whole.iterdir()} == before


def test_there_must_be_a_run_to_resume(tiny, toy, tmp_path):
    with pytest.raises(JsfError, match="holds no run to resume") as caught:
        train(**toy, out=tmp_path / "run", preset="tiny", resume=True)
    assert caught.value.fix == "Start it without --resume."


def test_a_run_of_another_preset_is_not_resumed(tiny, toy, whole, monkeypatch):
    model, recipe = tiny
    monkeypatch.setitem(PRESETS, "wider", dataclasses.replace(model, preset="wider", joint=24))
    monkeypatch.setitem(RECIPES, "wider", recipe)
    with pytest.raises(JsfError, match="holds a run of other data or another preset") as caught:
        train(**toy, out=whole, preset="wider", epochs=EPOCHS, resume=True)
    assert caught.value.fix == "Resume with the features, captions and preset that it began with."


def test_a_run_is_resumed_with_its_own_seed_and_epochs_alone(tiny, toy, whole):
    with pytest.raises(JsfError, match=rf"holds a run with epochs {EPOCHS}, now {EPOCHS + 1}; seed 0, now 5"):
        train(**toy, out=whole, preset="tiny", epochs=EPOCHS + 1, seed=5, resume=True)


def test_a_run_that_stopped_early_stays_stopped(tiny, toy, tmp_path, monkeypatch):
    monkeypatch.setitem(RECIPES, "tiny", dataclasses.replace(tiny[1], patience=1))
    monkeypatch.setattr("jsf.training.module.metrics", lambda result: {"score": 1.0})
    train(**toy, out=tmp_path / "run", preset="tiny", epochs=EPOCHS)
    log = log_of(tmp_path / "run")
    assert len(log) == 2 < EPOCHS
    train(**toy, out=tmp_path / "run", preset="tiny", epochs=EPOCHS, resume=True)
    assert log_of(tmp_path / "run") == log
