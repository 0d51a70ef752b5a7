"""Every preset and every ablation, for every task: sizes, and a forward pass that keeps padding out."""

import copy
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from jsf.data.errors import JsfError
from jsf.models.jsfusion import JSFusion, folded
from jsf.models.layers import valid_steps
from jsf.models.presets import ABLATIONS, PRESETS, TASKS, preset

FRAMES, WORDS, BLANKS = torch.tensor([40, 6, 9, 22]), torch.tensor([1, 40, 9, 14]), torch.tensor([0, 39, 4, 13])
PAIRS = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
ALL = [(name, task) for task in TASKS for name in PRESETS[task]]


def batch(config, garbage=False):
    """Features and words of the lengths above, on the side where the model pads; zeros in the padding, or garbage."""
    random = np.random.default_rng(5)
    features = torch.from_numpy(random.standard_normal((4, 40, config.feature_width)))
    words = torch.from_numpy(random.integers(2, config.vocabulary_size, (4, 40)))
    past_frames, past_words = ~valid_steps(FRAMES, 40, config.left_padded), ~valid_steps(WORDS, 40)
    features[past_frames] = 1e6 * features[past_frames] if garbage else 0
    words[past_words] = words[past_words] if garbage else 0
    blanks = BLANKS if config.fills_blanks else None
    if config.fills_blanks:
        words[torch.arange(4), BLANKS] = 1
    return features, FRAMES, words, WORDS, *PAIRS, blanks


def check(checkpoint):
    """The scores of all pairs; they have the task's shape, differ, and do not depend on padding."""
    model = copy.deepcopy(checkpoint.model).double()
    config = model.config
    with torch.no_grad():
        scores, dirty = model(*batch(config)), model(*batch(config, garbage=True))
        torch.testing.assert_close(folded(model)(*batch(config)), scores, rtol=0, atol=1e-12)
    assert scores.shape == ((16, config.vocabulary_size) if config.fills_blanks else (16,))
    assert len(scores.unique(dim=0)) == 16
    torch.testing.assert_close(dirty, scores, rtol=0, atol=0)
    model.train()(*batch(config)).square().sum().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []
    return scores


@pytest.mark.parametrize(("name", "task"), ALL)
def test_every_preset_scores_every_task(name, task, tiny_variant):
    check(tiny_variant(name, task))


@pytest.mark.parametrize("task", ["retrieval", "fill-in-the-blank"])
@pytest.mark.parametrize("model", ABLATIONS)
def test_every_ablation_scores(model, task, tiny_variant):
    scores, full = check(tiny_variant("paper", task, model)), check(tiny_variant("paper", task))
    assert torch.equal(scores, full) == (not ABLATIONS[model])


def parts(task, model):
    """How often each kind of layer occurs in a model of the paper's."""
    with torch.device("meta"):
        return Counter(type(module) for module in JSFusion(preset("paper", task, 12, 9, model)).modules())


@pytest.mark.parametrize("task", ["retrieval", "fill-in-the-blank"])
def test_an_ablation_leaves_out_what_it_is_named_after(task):
    full = parts(task, "jsfusion")
    assert (full[nn.Conv1d], full[nn.Conv2d], full[nn.LSTM]) == (3, 6, 1)
    assert (parts(task, "lstm-fusion")[nn.Conv2d], parts(task, "lstm-fusion")[nn.LSTM]) == (0, 2)
    assert parts(task, "lstm-fusion")[nn.Conv1d] == 0
    assert parts(task, "jst-fc")[nn.LSTM] == 0
    assert not JSFusion(preset("small", task, 12, 9, "jst-lstm")).word_encoder.context.lstm.bidirectional
    assert [parts(task, model)[nn.Conv2d] for model in ("jst-max", "jst-mean", "no-attention")] == [3, 3, 3]


def test_statistics_of_dense_words_leave_padding_out_in_training(tiny_variant):
    model = copy.deepcopy(tiny_variant("paper", "retrieval", "jst-fc").model).double().train()
    words, lengths = torch.tensor([[3, 4, 0, 0], [5, 0, 0, 0]]), torch.tensor([2, 1])
    wide = nn.functional.pad(words, (0, 36))
    torch.testing.assert_close(model.word_encoder(wide, lengths)[:, :4], model.word_encoder(words, lengths))


def test_lstm_fusion_takes_the_final_state_of_the_whole_sentence_in_the_authors_form_too(tiny_variant):
    model = copy.deepcopy(tiny_variant("official", "fill-in-the-blank", "lstm-fusion").model).double()
    features, frames, words, lengths, *pairs, blanks = batch(model.config)
    other = words.clone()
    other[3, 13], other[3, 12] = words[3, 12], 1  # the blank comes before the last word
    blanks = torch.tensor([0, 39, 4, 12])
    changed = other.clone()
    changed[3, 13] = words[3, 13] % 7 + 2
    with torch.no_grad():
        first, second = (model(features, frames, w, lengths, *pairs, blanks) for w in (other, changed))
    assert not torch.equal(first[3], second[3])


def test_what_is_not_seen_changes_no_score(tiny_variant):
    for name in ("paper", "official"):
        model = copy.deepcopy(tiny_variant(name, "multiple-choice").model).double()
        model.frame_encoder.unseen = 4
        model.frame_encoder.standardize(torch.zeros(12), torch.ones(12))
        features, *rest = batch(model.config)
        other = features.clone()
        other[..., -4:] = 100
        seen = features.clone()
        seen[0, -1, -5] = 100
        with torch.no_grad():
            scores = model(features, *rest)
            assert torch.equal(model(other, *rest), scores)
            assert not torch.equal(model(seen, *rest), scores)


@pytest.mark.parametrize(("name", "task"), ALL)
def test_short_videos_differ_but_to_the_authors_program(name, task, tiny_variant):
    """With padding on the left its stride of 2 never reads the last of 36 steps: all it keeps of five frames."""
    model = copy.deepcopy(tiny_variant(name, task).model).double()
    features, _, words, lengths, *_, blanks = batch(model.config, garbage=True)
    frames = torch.tensor([1, 3, 5, 6])
    with torch.no_grad():
        scores = model(features, frames, words, lengths, torch.arange(4), torch.full((4,), 2), blanks)
    assert len(scores.unique(dim=0)) == (2 if name == "official" else 4)


def shapes(name, task):
    with torch.device("meta"):
        model = JSFusion(preset(name, task, feature_width=2176, vocabulary_size=1000))
    return {key: tuple(value.shape) for key, value in model.named_parameters() if value.ndim > 1}


ENCODERS = {
    "frame_encoder.context.convolutions.0.weight": (2048, 2176, 3),
    "frame_encoder.context.convolutions.1.weight": (2048, 2048, 3),
    "frame_encoder.context.convolutions.2.weight": (2048, 2048, 3),
    "word_encoder.embedding.weight": (1000, 300),
    "word_encoder.context.lstm.weight_ih_l0": (4 * 512, 300),
    "word_encoder.context.lstm.weight_hh_l0": (4 * 512, 512),
    "word_encoder.context.lstm.weight_ih_l0_reverse": (4 * 512, 300),
    "word_encoder.context.lstm.weight_hh_l0_reverse": (4 * 512, 512),
}
"""What all presets at the paper's sizes have in common."""


def sizes(frames, words, joint, refine, conv, head, outputs, kernel=(3, 3)):
    """The matrices of a model at the paper's sizes: the inputs of D1v and D1w, then the widths."""
    d5, d6, d7 = head
    found = {
        **ENCODERS,
        "frame_encoder.d1.linear.weight": (joint, frames),
        "word_encoder.d1.linear.weight": (joint, words),
        "matcher.fusion.jst.d2.linear.weight": (refine, joint),
        "matcher.fusion.jst.w.linear.weight": (1, refine),
        "matcher.fusion.jst.d3.linear.weight": (refine, joint),
        "matcher.fusion.jst.d4.linear.weight": (refine, refine),
        "matcher.head.d5.linear.weight": (d5, conv),
        "matcher.head.d6.linear.weight": (d6, d5),
        "matcher.head.d7.linear.weight": (d7, d6),
        **outputs,
    }
    for i, inputs in enumerate((refine, conv, conv)):
        found[f"matcher.fusion.chd.stages.{i}.convolution.weight"] = (conv, inputs, *kernel)
        found[f"matcher.fusion.chd.stages.{i}.gate.weight"] = (1, inputs, *kernel)
    return found


D8, D8_NORMED = "matcher.head.d8.weight", "matcher.head.d8.linear.weight"
MATCHING = {"joint": 512, "refine": 512, "conv": 256, "head": (256, 256, 128)}
FILLING = {"joint": 1024, "conv": 1024, "head": (1024,) * 3, "outputs": {D8: (1000, 1024)}}


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice"])
def test_the_paper_preset_has_the_sizes_of_table_1(task):
    expected = sizes(frames=1024 + 2176, words=1324, **MATCHING, outputs={D8: (1, 128)})
    assert shapes("paper", task) == expected


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice"])
def test_the_official_preset_has_the_sizes_of_the_authors_graph(task):
    expected = sizes(frames=1024 + 2176, words=1024, **MATCHING, outputs={D8_NORMED: (1, 128)})
    assert shapes("official", task) == expected


def test_filling_blanks_has_the_sizes_of_section_3_6_and_of_the_authors_graph():
    assert shapes("paper", "fill-in-the-blank") == sizes(1024 + 2176, 1324, refine=2048, **FILLING)
    assert shapes("official", "fill-in-the-blank") == sizes(1024, 1024, refine=1024, kernel=(3, 1), **FILLING)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("huge", "retrieval", 1, 2), "no preset 'huge', expected one of: paper, official, small"),
        (("paper", "captioning", 1, 2), "no task 'captioning', expected one of: retrieval, multiple-choice, fill-in-"),
        (("paper", "retrieval", 1, 2, "jst-min"), "no model 'jst-min', expected one of: jsfusion, lstm-fusion, jst-fc"),
        (("paper", "retrieval", 3, 2, "no-audio", 4), "4 numbers of a frame are to be left out, and features are 3"),
    ],
)
def test_what_is_not_there_is_refused(arguments, message):
    with pytest.raises(JsfError, match=message):
        preset(*arguments)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"lstm": 0}, "lstm is 0, expected 1 or more"),
        ({"joint": -5}, "joint is -5, expected 1 or more"),
        ({"norm_decay": 2.0}, "norm_decay is 2.0, expected 0 to 1"),
        ({"video_skip": True}, "video_skip is for fill-in-the-blank"),
        ({"frame_channels": 7}, "frame_channels is 7, expected an even number"),
        ({"head": (4, 0, 4)}, r"head is \[4, 0, 4\], expected widths of 1 or more"),
    ],
)
def test_sizes_that_no_network_has_are_refused(sizes, message):
    with pytest.raises(JsfError, match=message):
        replace(preset("small", "retrieval", 12, 9), **sizes)


def test_help_lists_the_ablations_there_are():
    from jsf.cli import ABLATIONS as listed
    from jsf.models.presets import ABLATIONS

    assert listed.split(", ") == list(ABLATIONS)
