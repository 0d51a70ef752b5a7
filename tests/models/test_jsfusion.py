"""The whole model: padding, batch norm, sizes and gradients."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from jsf.models.jsfusion import JSFusion, folded
from jsf.models.layers import MaskedBatchNorm, valid_steps

FRAMES, WORDS = torch.tensor([40, 1, 5, 23]), torch.tensor([1, 40, 9, 14])
PAIRS = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T


@pytest.fixture
def model(tiny_model):
    return copy.deepcopy(tiny_model).double()


def batch(model, garbage=False):
    """Features and words of the lengths above; zeros past them, or garbage."""
    rng = np.random.default_rng(5)
    features = torch.from_numpy(rng.standard_normal((4, 40, model.config.feature_width)))
    words = torch.from_numpy(rng.integers(1, model.config.vocabulary_size, (4, 40)))
    past_frames, past_words = ~valid_steps(FRAMES, 40), ~valid_steps(WORDS, 40)
    features[past_frames] = 1e6 * features[past_frames] if garbage else 0
    words[past_words] = words[past_words] if garbage else 0
    return features, FRAMES, words, WORDS, *PAIRS


@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
def test_garbage_in_the_padding_changes_nothing(model, training):
    clean, dirty = model.train(training), copy.deepcopy(model).train(training)
    assert not torch.equal(batch(model)[0], batch(model, garbage=True)[0])
    torch.testing.assert_close(dirty(*batch(model, garbage=True)), clean(*batch(model)), rtol=0, atol=0)
    torch.testing.assert_close(dirty.state_dict(), clean.state_dict(), rtol=0, atol=0)


def test_folded_scores_the_same_in_eval_mode_without_a_batch_norm(model):
    original = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        expected, found = model(*batch(model)), folded(model.train())(*batch(model))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert not any(isinstance(module, MaskedBatchNorm) for module in folded(model).modules())
    torch.testing.assert_close(model.state_dict(), original, rtol=0, atol=0)  # the original is left alone


def test_running_statistics_move_in_training_and_stay_in_eval_mode(model):
    def statistics():
        return {name: value.clone() for name, value in model.named_buffers() if "feature" not in name}

    before = statistics()
    model(*batch(model))
    assert all(torch.equal(value, before[name]) for name, value in statistics().items())
    model.train()(*batch(model))
    assert len(before) == 2 * 9  # a mean and a variance of D1v, D1w, D2, w, D3, D4, D5, D6, D7
    assert not any(torch.equal(value, before[name]) for name, value in statistics().items())


def test_running_statistics_approach_those_of_the_valid_cells(tiny_model):
    norm = MaskedBatchNorm(3, replace(tiny_model.config, norm_decay=0.5)).double().train()
    x, valid = torch.randn(2, 5, 3, dtype=torch.float64) * 4 + 7, valid_steps(torch.tensor([3, 1]), 5)
    for _ in range(60):
        normalized = norm(x, valid)
    cells = x[valid]
    torch.testing.assert_close(norm.mean, cells.mean(0))
    torch.testing.assert_close(norm.variance, cells.var(0))
    expected = (cells - cells.mean(0)) / (cells.var(0, correction=0) + 1e-3).sqrt()
    torch.testing.assert_close(normalized[valid], expected)
    assert not normalized[~valid].any()


def test_gradients_reach_every_parameter(model):
    model.train()(*batch(model)).square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []
    assert not model.word_encoder.embedding.weight.grad[0].any()  # padding is no word


def test_the_forget_gate_starts_at_one(tiny_model):
    hidden = tiny_model.config.lstm
    fresh = JSFusion(tiny_model.config).word_encoder.context.lstm
    default = hidden**-0.5  # PyTorch draws each of the two biases within this of zero
    forget, others = fresh.bias_ih_l0[hidden : 2 * hidden], fresh.bias_ih_l0[2 * hidden :]
    assert (forget > 1 - default).all() and (others < default).all()
