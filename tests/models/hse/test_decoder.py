"""The decoders that reconstruct a sequence from its embedding, against the equations."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from jsf.models.hse.decoder import Decoder

SPEC = importlib.util.spec_from_file_location("hse_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)

LENGTHS = torch.tensor([3, 1, 5], dtype=torch.int32)


@pytest.fixture
def decoder(golden_weights):
    return golden_weights(Decoder(4, 6))


@pytest.fixture
def inputs():
    torch.manual_seed(0)
    return torch.randn(3, 4, requires_grad=True), torch.randn(3, 5, 6, requires_grad=True)


def test_the_loss_is_the_mean_distance_over_valid_steps(decoder, inputs):
    weights, (embedding, targets) = reference.Weights.of(decoder), (each.detach().numpy() for each in inputs)
    distances = []
    for parent, target, length in zip(embedding, targets, LENGTHS, strict=True):
        states = reference.gru(weights.under("gru"), [parent] * int(length), np.zeros(4))
        made = states @ weights["output.weight"].T + weights["output.bias"]
        distances += [np.sqrt(((made[i] - target[i]) ** 2).sum()) for i in range(length)]
    assert len(distances) == 9
    assert decoder(*inputs, LENGTHS).item() == pytest.approx(np.mean(distances), abs=1e-5)


def test_the_embedding_learns_and_the_targets_do_not(decoder, inputs):
    embedding, targets = inputs
    decoder(embedding, targets, LENGTHS).backward()
    assert targets.grad is None
    assert (embedding.grad.abs().amax(1) > 0).all()


def test_the_gradient_is_finite_where_nothing_is_left_to_learn(decoder, inputs):
    embedding = inputs[0]
    states, _ = decoder.gru(embedding[:, None].expand(-1, 5, -1))
    loss = decoder(embedding, decoder.output(states), LENGTHS)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert torch.isfinite(embedding.grad).all()


def test_its_output_leaves_the_range_of_a_state(decoder, inputs):
    with torch.no_grad():
        decoder.output.bias.fill_(7.0)
        assert float(decoder(inputs[0], torch.full((3, 5, 6), 7.0), LENGTHS)) < 6
