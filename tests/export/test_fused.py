"""What is exported gives the scores of what was trained."""

import copy

import pytest
import torch
from torch import nn

from jsf.export.fused import SummedTaps, fused
from jsf.models.chd import Stage


@pytest.mark.parametrize(
    "which",
    [
        ("paper", "retrieval"),
        ("paper", "fill-in-the-blank"),
        ("official", "multiple-choice"),
        ("official", "fill-in-the-blank"),  # kernels of 3 x 1
        ("paper", "retrieval", "jst-max"),
        ("paper", "retrieval", "lstm-fusion"),  # no gate
    ],
    ids="-".join,
)
def test_scores_and_maps_stay(tiny_variant, which):
    model = copy.deepcopy(tiny_variant(*which).model).double().eval()
    random = torch.Generator().manual_seed(0)
    lengths = torch.tensor([40, 9, 3])
    words = lengths.flip(0)
    videos, sentences = (torch.randn(3, 40, model.config.joint, generator=random).double() for _ in range(2))
    index = torch.arange(3)
    blanks = torch.tensor([1, 8, 39]) if model.config.fills_blanks else None
    inputs = (videos, lengths, sentences, words, index, index, blanks)
    with torch.no_grad():
        expected, maps = model.matcher.explain(*inputs)
        found, found_maps = fused(model).matcher.explain(*inputs)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(found_maps, maps, rtol=0, atol=1e-12)


def test_every_gate_is_summed_taps_and_the_trained_model_keeps_its_own(tiny_variant):
    model = tiny_variant("paper", "retrieval").model
    gates = [stage.gate for stage in fused(model).modules() if isinstance(stage, Stage)]
    assert [type(gate) for gate in gates] == [SummedTaps] * 3
    assert all(isinstance(stage.gate, nn.Conv2d) for stage in model.modules() if isinstance(stage, Stage))
    assert [gate.taps.out_channels for gate in gates] == [9, 9, 9]
