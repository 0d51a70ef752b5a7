"""Other values of a recipe's and a model's settings, and what a model is not to see."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.models.config import JSFusionConfig
from jsf.models.jst import JointSemanticTensor
from jsf.models.layers import MaskedBatchNorm
from jsf.training.recipe import Recipe, overridden
from jsf.training.scorer import CheckpointScorer
from jsf.training.train import train

TASKS = ("retrieval", "multiple-choice", "fill-in-the-blank")


def test_settings_of_the_recipe_and_of_the_model_are_set(tiny, toy, tmp_path):
    settings = {"epochs": 1, "learning_rate": 1, "joint": 24, "pool": "sum", "head": [8, 9, 10], "frame_dropout": 0.5}
    found = train(**toy, out=tmp_path / "run", preset="tiny", settings=settings)
    assert found.recipe == {**asdict(replace(tiny[1], epochs=1, learning_rate=1)), "seed": 0}
    config = found.model.config
    assert (config.joint, config.pool, config.head, config.frame_dropout) == (24, "sum", (8, 9, 10), 0.5)
    assert (config.preset, config.conv) == ("tiny", tiny[0]["conv"])
    assert found.model.matcher.head.d7.linear.weight.shape == (10, 9)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bach": 4}, "there is no setting bach"),
        ({"task": "retrieval", "feature_width": 7}, "there is no setting feature_width, task"),
        ({"unseen": 3}, "there is no setting unseen"),
        ({"epochs": "many"}, "epochs is 'many', expected a whole number such as 8"),
        ({"epochs": 1.5}, "epochs is 1.5, expected a whole number"),
        ({"epochs": True}, "epochs is True, expected a whole number"),
        ({"jitter": 1}, "jitter is 1, expected true or false such as False"),
        ({"margin": "1"}, "margin is '1', expected a number"),
        ({"head": 16}, "head is 16, expected a list"),
        ({"head": [16, 16]}, r"head is \[16, 16\], expected 3 numbers such as \[16, 16, 16\]"),
        ({"head": [16, 16, "16"]}, "expected 3 numbers"),
        ({"pool": "max"}, "pool is 'max', expected one of: mean, sum"),
        ({"epochs": 0}, "epochs is 0, expected 1 or more"),
        ({"validate_every": 0}, "validate_every is 0, expected 1 or more"),
        ({"batch": 1}, "batch is 1, expected 2 or more"),
        ({"exchanges": -1}, "exchanges is -1, expected 0 or more"),
        ({"learning_rate": float("nan")}, "learning_rate is nan, expected 0 or more"),
        ({"margin": float("inf")}, "margin is inf, expected 0 or more"),
        ({"mined": 2}, "mined rests on the alignment of the encodings, whose weight is 0"),
        ({"alone": 2}, "alone rests on the alignment"),
        ({"distill": 1.0}, "distill rests on the alignment"),
        ({"matched_frames": 9}, "matched_frames is 9, expected 0, or an even number from 8 to 40"),
        ({"matched_frames": 42}, "matched_frames is 42"),
        ({"alone": 8, "alignment": 1.0}, "all 8 epochs are alone: no pair would be matched"),
        ({"task": "fill-in-the-blank", "joint": 24}, "there is no setting task"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(settings, message, tiny, toy, tmp_path):
    with pytest.raises(JsfError, match=message):
        train(**toy, out=tmp_path / "run", preset="tiny", settings=settings)
    assert not (tmp_path / "run").exists()


def test_widths_that_a_blank_cannot_be_added_in_are_refused(tiny, toy, tmp_path):
    with pytest.raises(JsfError, match="D7 is 16 wide, and the blank that is added to it 24"):
        train(**toy, out=tmp_path / "run", task="fill-in-the-blank", preset="tiny", settings={"joint": 24})


def test_every_field_can_be_set_to_what_it_is():
    for value in (Recipe(), JSFusionConfig("paper", 7, 9)):
        assert overridden(value, asdict(value)) == value


def check_unseen(checkpoint, toy, sees):
    """The last three numbers of a frame change no score; others do where the model `sees` them."""
    scorer, rng = CheckpointScorer(checkpoint.model, checkpoint.vocabulary), np.random.default_rng(0)
    videos = [toy["val"].store.read(video_id) for video_id in toy["val"].video_ids]
    sentences = [caption.sentence for caption in toy["val"].rows]
    before = scorer.score_matrix(videos, sentences)
    noise = [rng.standard_normal(video.shape).astype(np.float32) for video in videos]
    without, with_others = (
        [np.hstack([video[:, :start], 9 * other[:, start:]]) for video, other in zip(videos, noise, strict=True)]
        for start in (4, 3)
    )
    np.testing.assert_array_equal(scorer.score_matrix(without, sentences), before)
    assert (scorer.score_matrix(with_others, sentences) != before).any() == sees


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("preset", ["tiny", "official"])
def test_the_last_numbers_of_a_frame_are_not_seen(preset, standardize, tiny, toy, sizes, tmp_path):
    settings = {**sizes, "epochs": 1, "standardize": standardize, "min_count": 1}
    found = train(**toy, out=tmp_path / "run", preset=preset, model="no-audio", unseen=3, settings=settings)
    assert found.model.config.preset == f"{preset}, no-audio"
    assert (found.model.frame_encoder.feature_scale[-3:] == 0).all()
    assert found.model.frame_encoder.feature_scale[1:4].all()
    check_unseen(found, toy, sees=True)


def test_a_model_that_sees_no_number_knows_videos_by_their_length_alone(tiny, toy, tmp_path):
    found = train(**toy, out=tmp_path / "run", preset="tiny", unseen=7, settings={"epochs": 2})
    check_unseen(found, toy, sees=False)
    store = toy["val"].store
    videos = [store.read(video_id) for video_id in toy["val"].video_ids]
    scores = CheckpointScorer(found.model, found.vocabulary).score_matrix(videos, ["red then green", "pink then blue"])
    lengths = np.array([len(video) for video in videos])
    for length in set(lengths):
        np.testing.assert_allclose(np.ptp(scores[lengths == length], axis=0), 0, atol=1e-5)


@pytest.fixture
def cells(monkeypatch):
    """Records in training, of each joint tensor, its [P, N, M] and its valid cells, and what each batch norm counts."""
    joint, counted = set(), set()
    forward, normalize = JointSemanticTensor.forward, MaskedBatchNorm._normalize

    def recording(self, frames, words, valid):
        if self.training:
            joint.add((tuple(valid.shape), int(valid.sum())))
        return forward(self, frames, words, valid)

    monkeypatch.setattr(JointSemanticTensor, "forward", recording)
    monkeypatch.setattr(MaskedBatchNorm, "_normalize", lambda self, x: counted.add(len(x)) or normalize(self, x))
    return joint, counted


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("preset", ["paper", "official", "small"])
def test_every_preset_trains_every_task(preset, task, toy, sizes, tmp_path, cells):
    settings = {**sizes, "epochs": 1, "batch": 8, "min_count": 1, "alone": 0}
    found = train(**toy, out=tmp_path / "run", task=task, preset=preset, settings=settings)
    assert (found.model.config.preset, found.model.config.task) == (preset, task)
    assert np.isfinite(list(found.metrics.values())).all()
    assert all(np.isfinite(value.numpy()).all() for value in found.model.state_dict().values())
    joint, counted = cells
    if preset == "official":  # not cropped, and its statistics count padding
        assert {shape[1:] for shape, _ in joint} == {(40, 1) if task == "fill-in-the-blank" else (40, 40)}
        assert all(math.prod(shape) in counted and valid not in counted for shape, valid in joint)
    else:
        assert max(max(shape[1:]) for shape, _ in joint) < 12
        assert all(valid in counted and math.prod(shape) not in counted for shape, valid in joint)
