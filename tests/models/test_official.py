"""The authors' variables become a model; what the numbers then are, tests/golden says."""

import numpy as np
import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.official import official_model
from jsf.models.presets import TASKS

LAST = {"retrieval": "multimodal/fc3", "multiple-choice": "multimodal/fc3", "fill-in-the-blank": "after_sum/fc3"}


def scores(model):
    """Of two videos with one sentence."""
    random = torch.Generator().manual_seed(0)
    features = torch.randn(2, 40, model.config.feature_width, generator=random)
    words, first = torch.tensor([[2, 3, 1, 4] + 36 * [0]]), torch.zeros(2, dtype=torch.int32)
    blanks = torch.tensor([2]) if model.config.fills_blanks else None
    with torch.no_grad():
        return model(features, torch.tensor([40, 17]), words, torch.tensor([4]), torch.arange(2), first, blanks)


@pytest.mark.parametrize("task", TASKS)
def test_the_task_and_the_widths_are_read_off_the_variables(task, official_variables):
    model = official_model(official_variables(task))
    config = model.config
    assert (config.task, config.preset, config.left_padded, model.training) == (task, "official", True, False)
    assert (config.feature_width, config.vocabulary_size, config.word_width, config.lstm) == (17, 9, 6, 4)
    fills = task == "fill-in-the-blank"
    assert (config.frame_channels, config.joint, config.refine, config.conv, config.head) == (
        (16, 8, 8, 8, (8, 8, 8)) if fills else (16, 4, 4, 2, (2, 2, 1))
    )
    found = scores(model)
    assert found.shape == ((2, 9) if fills else (2,))
    assert found.isfinite().all()
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("task", TASKS)
def test_a_checkpoint_keeps_the_model(task, official_variables, tmp_path):
    model = official_model(official_variables(task))
    Checkpoint(model, Vocabulary(tuple("abcdefgh"))).save(tmp_path / "best.pt")
    assert torch.equal(scores(Checkpoint.load(tmp_path / "best.pt").model), scores(model))


@pytest.mark.parametrize("task", TASKS)
def test_every_variable_counts(task, official_variables):
    variables = official_variables(task)
    expected = scores(official_model(variables))
    for name, value in variables.items():
        other = official_model({**variables, name: value + np.float32(0.5)})
        assert not torch.equal(scores(other), expected), name


@pytest.mark.parametrize("task", TASKS)
def test_a_variable_that_is_absent_is_named(task, official_variables):
    variables = official_variables(task)
    del variables[f"{LAST[task]}/weights"]
    with pytest.raises(JsfError, match=f"no variable '{LAST[task]}/weights'") as refusal:
        official_model(variables)
    assert "the authors' released JSFusion checkpoint" in refusal.value.fix


def change(variables, name, shape):
    return {**variables, name: np.zeros(shape, np.float32)}


CELL = "cap_rnn/bidirectional_rnn/bw/multi_rnn_cell/cell_0/basic_lstm_cell"


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("multimodal/conv2/weights", (3, 3, 2, 5), r"chd.stages.1.convolution.weight is \[5, 2, 3, 3\] in the"),
        ("multimodal/conv2/weights", (3, 2), r"multimodal/conv2/weights is \[3, 2\] in the checkpoint, expected 4 dim"),
        ("word_embed", (9,), r"word_embed is \[9\] in the checkpoint, expected 2 dimensions"),
        ("word_embed", (9, 7), r"lstm.weight_hh_l0 is \[16, 3\] in the checkpoint, expected \[16, 4\]"),
        ("video_cnn/conv1/weights", (3, 2, 17, 16), r"convolutions.0.weight is \[16, 17, 3, 2\] in the checkpoint"),
        ("vid_rnn_fc/weights", (25, 5), r"is \[4\] in the checkpoint, expected \[5\]"),
        (f"{CELL}/kernel", (10, 13), r"weight_ih_l0_reverse is \[13, 6\] in the checkpoint, expected \[16, 6\]"),
        (f"{CELL}/bias", (3,), r"bias_ih_l0_reverse is \[3\] in the checkpoint, expected \[16\]"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused(name, shape, message, official_variables):
    with pytest.raises(JsfError, match=message) as refusal:
        official_model(change(official_variables("retrieval"), name, shape))
    assert "the authors' released JSFusion checkpoint" in refusal.value.fix


def test_what_is_no_checkpoint_of_theirs_is_refused():
    with pytest.raises(JsfError, match="the checkpoint has no variable 'video_cnn/conv1/weights'"):
        official_model({"weights": np.zeros((3, 3), np.float32)})
