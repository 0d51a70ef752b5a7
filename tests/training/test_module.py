"""What a training step does beside the matcher's loss: epochs alone, validation now and then, less memory."""

import numpy as np
import pytest
import torch

from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import PRESETS
from jsf.models.presets import preset as model_preset
from jsf.training.module import TrainingModule
from jsf.training.train import train

ALONE = {"alignment": 1.0, "alone": 2}


@pytest.fixture
def unlearning(other_recipe, monkeypatch):
    """A recipe that changes no weight and a preset whose statistics stay, so that every epoch scores the same."""
    monkeypatch.setitem(PRESETS["retrieval"], "tiny", {**PRESETS["retrieval"]["tiny"], "norm_decay": 1.0})
    other_recipe(learning_rate=0.0)


def last_state(out):
    return torch.load(out / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.parametrize("task", ["retrieval", "fill-in-the-blank"])
def test_checkpointing_changes_neither_weights_nor_statistics(task, tiny, toy, log_of, tmp_path):
    for kept in (True, False):
        settings = {"epochs": 2, "checkpointing": not kept}
        train(**toy, out=tmp_path / str(kept), task=task, preset="tiny", settings=settings)
    torch.testing.assert_close(last_state(tmp_path / "False"), last_state(tmp_path / "True"), rtol=0, atol=0)
    assert log_of(tmp_path / "False") == log_of(tmp_path / "True")


def test_alone_the_alignment_teaches_the_encoders_and_the_matcher_waits(tiny, toy, log_of, tmp_path, monkeypatch):
    states = []

    def recording(module):
        states.append({name: value.clone() for name, value in module.model.state_dict().items()})

    monkeypatch.setattr(TrainingModule, "on_train_epoch_end", recording)
    train(**toy, out=tmp_path / "run", preset="tiny", settings={"epochs": 3, **ALONE})
    moved = {name for name, value in states[1].items() if not torch.equal(value, states[0][name])}
    assert {name.partition(".")[0] for name in moved} == {"frame_encoder", "word_encoder"}
    assert any(
        name.startswith("matcher") and not torch.equal(value, states[1][name]) for name, value in states[2].items()
    )
    log = log_of(tmp_path / "run")
    assert [set(line) for line in log[:2]] == [{"epoch", "loss"}] * 2  # nothing is matched yet
    assert "score" in log[2]
    assert log[1]["loss"] < log[0]["loss"]


@pytest.mark.parametrize("preset", ["paper", "official"])
def test_some_frames_are_one_of_each_part_of_a_video(preset, varied, examples_of, monkeypatch):
    """Features, whose first number is their step, stand for encoded frames; what reaches the matcher is looked at."""
    examples = examples_of("retrieval", varied, preset, matched_frames=8)
    config = model_preset(preset, "retrieval", 2, len(examples.vocabulary))
    with torch.device("meta"):
        model = JSFusion(config)
    module = TrainingModule(model, examples.recipe, examples.vocabulary, examples, examples, seed=0)
    matched = []

    def match(videos, lengths, sentences, word_lengths, videos_of, *others):
        matched.append((videos, lengths))
        return torch.zeros(len(videos_of), requires_grad=True)

    monkeypatch.setattr(model.frame_encoder, "forward", lambda features, lengths: features)
    monkeypatch.setattr(model, "encode_words", lambda words, lengths: words)
    monkeypatch.setattr(model, "match", match)
    monkeypatch.setattr(module, "log", lambda *arguments, **options: None)
    batch = examples.stack(np.arange(9), np.random.default_rng(0))
    for _ in range(20):
        module.training_step(batch)
    for videos, lengths in matched:
        assert videos.shape == (9, 8, 2)
        assert lengths.tolist() == batch.frame_lengths.clamp(max=8).tolist()
        for video, length, whole in zip(videos, lengths, batch.frame_lengths.tolist(), strict=True):
            steps = (video[-length:] if config.left_padded else video[:length])[:, 0]
            parts = torch.arange(length) * whole / length
            assert (steps >= parts.floor()).all() and (steps < parts + whole / length).all()
    assert len({videos.sum().item() for videos, _ in matched}) > 10


def test_two_processes_train_together(tiny, toy, log_of, tmp_path):
    options = {"accelerator": "cpu", "devices": 2, "strategy": "ddp_fork"}
    found = train(**toy, out=tmp_path / "run", preset="tiny", settings={"epochs": 2}, trainer_options=options)
    assert [line["epoch"] for line in log_of(tmp_path / "run")] == [0, 1]
    assert found.metrics in log_of(tmp_path / "run")


def test_the_alignment_has_no_part_where_its_weight_is_zero(tiny, toy, tmp_path):
    for name, settings in (("without", {}), ("with", {"alignment": 1.0})):
        train(**toy, out=tmp_path / name, preset="tiny", settings={"epochs": 1, **settings})
    assert last_state(tmp_path / "with").keys() - last_state(tmp_path / "without").keys() == {"alignment.sharpness"}


def test_epochs_between_validations_have_no_metrics_and_the_last_has(tiny, toy, log_of, tmp_path):
    settings = {"epochs": 8, "validate_every": 3, "alignment": 1.0, "alone": 3}
    best = train(**toy, out=tmp_path / "run", preset="tiny", settings=settings)
    log = log_of(tmp_path / "run")
    assert [line["epoch"] for line in log] == list(range(8))
    assert [line["epoch"] for line in log if "score" in line] == [5, 7]
    assert all("t2v_R@1" in line for line in log if "score" in line)
    assert all(set(line) == {"epoch", "loss"} for line in log if "score" not in line)
    assert best.metrics == max((log[5], log[7]), key=lambda line: (line["score"], line["epoch"]))


@pytest.mark.parametrize(("patience", "ends"), [(1, 3), (2, 3), (3, 5)])
def test_a_run_ends_at_a_validation_after_as_many_epochs_without_a_better_score(
    patience, ends, unlearning, toy, log_of, tmp_path
):
    settings = {"epochs": 20, "validate_every": 2, "patience": patience}
    train(**toy, out=tmp_path / "run", preset="tiny", settings=settings)
    assert len(log_of(tmp_path / "run")) == ends + 1  # the first validation is after epoch 1


@pytest.mark.parametrize("hook", ["batch_start", "epoch_end"])
def test_a_resumed_run_ends_as_early(hook, unlearning, toy, log_of, tmp_path, monkeypatch):
    """The second kind of kill comes after the epoch's line and best.pt, and before last.ckpt."""
    options = {"preset": "tiny", "settings": {"epochs": 20, "validate_every": 2, "patience": 3}}
    train(**toy, out=tmp_path / "whole", **options)
    original = getattr(TrainingModule, f"on_train_{hook}")

    def kill(module, *arguments):
        if module.current_epoch == 2:
            raise RuntimeError("killed")
        original(module, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TrainingModule, f"on_train_{hook}", kill)
        with pytest.raises(RuntimeError, match="killed"):
            train(**toy, out=tmp_path / "run", **options)
    assert torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["epoch"] == 1
    train(**toy, out=tmp_path / "run", resume=True, **options)
    assert log_of(tmp_path / "run") == log_of(tmp_path / "whole")
    first, second = (Checkpoint.load(tmp_path / name / "best.pt") for name in ("run", "whole"))
    assert first.metrics == second.metrics
