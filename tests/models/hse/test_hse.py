"""HSE and FSE against an independent computation, and that padding is never seen."""

import copy
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from jsf.data.errors import JsfError
from jsf.models.hse.config import HSEConfig, preset
from jsf.models.hse.hse import HSE, unit
from jsf.models.hse.sequence_encoder import BELOW, SequenceEncoder, reversed_steps, run, take

SPEC = importlib.util.spec_from_file_location("hse_reference", Path(__file__).with_name("reference.py"))
reference = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(reference)

FORMS = [
    pytest.param(hierarchical, pool, bidirectional, id=f"{'hse' if hierarchical else 'fse'}-{pool}-{1 + bidirectional}")
    for hierarchical in (True, False)
    for pool in ("max", "last", "attention")
    for bidirectional in (False, True)
]


def members(inputs):
    """Each member of a batch without its padding: (whole, parts or None)."""
    whole, lengths, parts, part_lengths = [*map(np.asarray, inputs), None, None][:4]
    for row, length in enumerate(lengths):
        pieces = None
        if parts is not None:
            pieces = [part[:n] for part, n in zip(parts[row], part_lengths[row], strict=True) if n]
        yield whole[row, :length], pieces


@pytest.mark.parametrize(("hierarchical", "pool", "bidirectional"), FORMS)
def test_it_computes_what_the_equations_say(model_of, batch_of, hierarchical, pool, bidirectional):
    model, batch = model_of(hierarchical, pool, bidirectional), batch_of(hierarchical)
    weights = reference.Weights.of(model)
    for encoder, one, inputs in (
        (model.video_encoder, reference.video, batch.videos),
        (model.text_encoder, reference.text, batch.texts),
    ):
        with torch.no_grad():
            found, embedded = encoder.levels(*inputs), encoder(*inputs)
        for row, member in enumerate(members(inputs)):
            top, context, parts = one(weights, pool, *member)
            np.testing.assert_allclose(found.top[row], top, atol=1e-6)
            np.testing.assert_allclose(found.context[row], context, atol=1e-6)
            np.testing.assert_allclose(embedded[row], top / np.linalg.norm(top), atol=1e-6)
            if hierarchical:
                np.testing.assert_allclose(found.parts[row, : len(parts)], parts, atol=1e-6)
                assert not found.parts[row, len(parts) :].any()
            else:
                assert found.parts is None
        assert len(np.unique(embedded.numpy().round(4), axis=0)) == 4


@pytest.mark.parametrize("begin", [False, True])
def test_the_masked_gru_is_the_packed_one(begin):
    torch.manual_seed(0)
    config = HSEConfig("tiny", 5, 9, hidden=8, bidirectional=True)
    encoder = SequenceEncoder(5, config)
    both = torch.nn.GRU(5, 4, batch_first=True, bidirectional=True)
    names = [name for name, _ in encoder.gru.named_parameters()]
    both.load_state_dict(
        {name: getattr(encoder.gru, name) for name in names}
        | {f"{name}_reverse": getattr(encoder.backward_gru, name) for name in names}
    )
    lengths, x = torch.tensor([6, 1, 4, 6, 2], dtype=torch.int32), torch.randn(5, 6, 5)
    first = torch.randn(2, 5, 4).tanh() if begin else None
    packed = pack_padded_sequence(x, lengths.long(), batch_first=True, enforce_sorted=False)
    states, last = both(packed, first)
    states, _ = pad_packed_sequence(states, batch_first=True)
    order = reversed_steps(lengths, 6)
    forward = run(encoder.gru, x, None if first is None else first[0])
    backward = take(run(encoder.backward_gru, take(x, order), None if first is None else first[1]), order)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(forward[row, :length], states[row, :length, :4])
        torch.testing.assert_close(backward[row, :length], states[row, :length, 4:])
        torch.testing.assert_close(forward[row, length - 1], last[0, row])
        torch.testing.assert_close(backward[row, 0], last[1, row])
    pooled = encoder(x, lengths, None if first is None else torch.cat(tuple(first), dim=1))
    expected = torch.stack([states[row, :length].amax(0) for row, length in enumerate(lengths)])
    torch.testing.assert_close(pooled, expected)


@given(st.data())
def test_steps_are_reversed_within_their_length(data):
    steps = data.draw(st.integers(1, 8))
    lengths = data.draw(st.lists(st.integers(0, steps), min_size=1, max_size=4))
    order = reversed_steps(torch.tensor(lengths, dtype=torch.int32), steps)
    for row, length in zip(order.tolist(), lengths, strict=True):
        assert row == [*range(length - 1, -1, -1), *range(length, steps)]


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), form=st.sampled_from([form.values for form in FORMS]), training=st.booleans())
def test_what_lies_in_the_padding_never_matters(model_of, batch_of, seed, form, training):
    model, random = model_of(*form), np.random.default_rng(seed)
    model.train(training)
    batch = batch_of(form[0], seed)
    for encoder, inputs in ((model.video_encoder, batch.videos), (model.text_encoder, batch.texts)):
        spoilt = [array.clone() for array in inputs]
        for values, lengths in zip(spoilt[::2], spoilt[1::2], strict=True):
            padding = torch.arange(values.shape[lengths.ndim]) >= lengths[..., None]
            assert padding.any()
            other = random.integers(1, 9, values.shape) if values.dtype == torch.int32 else 99 * np.ones(values.shape)
            values[padding] = torch.from_numpy(other).to(values)[padding]
        with torch.no_grad():
            for found, expected in zip(encoder.levels(*spoilt), encoder.levels(*inputs), strict=True):
                if expected is not None:
                    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(("hierarchical", "pool", "bidirectional"), FORMS)
def test_cropping_a_batch_and_splitting_it_change_nothing(model_of, batch_of, hierarchical, pool, bidirectional):
    model, batch = model_of(hierarchical, pool, bidirectional), batch_of(hierarchical)
    for encoder, inputs in ((model.video_encoder, batch.videos), (model.text_encoder, batch.texts)):
        with torch.no_grad():
            together = encoder(*inputs)
            for row in range(len(together)):
                whole, length, *rest = (array[row : row + 1] for array in inputs)
                cropped = [whole[:, :length], length]
                if rest:
                    parts, lengths = rest
                    places = int((lengths > 0).sum())
                    cropped += [parts[:, :places, : int(lengths.max())], lengths[:, :places]]
                torch.testing.assert_close(encoder(*cropped)[0], together[row], rtol=0, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_training_path_encodes_what_the_other_does(model_of, batch_of, bidirectional):
    """In training, places without a part are left out, and gradients are those of the other path."""
    model = model_of(True, "max", bidirectional)
    for name in ("video_encoder", "text_encoder"):
        inputs = getattr(batch_of(True), "videos" if name == "video_encoder" else "texts")
        gradients = []
        for training in (False, True):
            encoder = copy.deepcopy(getattr(model, name)).train(training)
            levels = encoder.levels(*inputs)
            sum(level.square().sum() for level in levels).backward()
            gradients.append({key: weight.grad for key, weight in encoder.named_parameters()})
            if not training:
                expected = levels
        for found, wanted in zip(levels, expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
        torch.testing.assert_close(*gradients)


def test_the_order_of_frames_of_clips_and_of_words_matters(model_of, batch_of):
    model, batch = model_of(True), batch_of(True)
    with torch.no_grad():
        for encoder, inputs in ((model.video_encoder, batch.videos), (model.text_encoder, batch.texts)):
            expected = encoder(*inputs)[0]
            for turned in (0, 2):
                changed = [array.clone() for array in inputs]
                changed[turned][0] = changed[turned][0].flip(0)
                if turned:
                    changed[3][0] = changed[3][0].flip(0)
                assert (encoder(*changed)[0] - expected).abs().max() > 1e-3


def test_both_levels_of_the_two_views_share_the_lower_encoder(model_of, batch_of):
    """The context of a video is what the flat model with the same weights makes of it."""
    deep, flat = model_of(True), model_of(False)
    assert set(deep.state_dict()) - set(flat.state_dict()) and not set(flat.state_dict()) - set(deep.state_dict())
    flat.load_state_dict({name: value for name, value in deep.state_dict().items() if "tower.high" not in name})
    batch = batch_of(True)
    with torch.no_grad():
        context = deep.video_encoder.levels(*batch.videos).context
        torch.testing.assert_close(flat.video_encoder.levels(*batch.videos[:2]).top, context)


@pytest.mark.parametrize("pool", ["max", "last", "attention"])
def test_what_has_no_step_is_zero(pool):
    encoder = SequenceEncoder(3, HSEConfig("tiny", 3, 9, hidden=4, pool=pool))
    found = encoder(torch.ones(2, 5, 3), torch.tensor([0, 2]))
    assert not found[0].any() and found[1].any()
    assert found.abs().max() <= 1 < -BELOW


def test_a_vector_of_zeros_has_a_unit_and_a_gradient():
    x = torch.zeros(1, 3, requires_grad=True)
    unit(x).sum().backward()
    assert torch.isfinite(unit(x)).all() and torch.isfinite(x.grad).all()


def test_dropout_is_of_training_alone(model_of, batch_of):
    model = model_of(True, feature_dropout=0.5, embedding_dropout=0.5, output_dropout=0.5)
    for encoder, inputs in zip((model.video_encoder, model.text_encoder), batch_of(True), strict=True):
        with torch.no_grad():
            torch.testing.assert_close(encoder(*inputs), encoder(*inputs), rtol=0, atol=0)
            encoder.train()
            assert (encoder(*inputs) - encoder(*inputs)).abs().max() > 1e-3
            encoder.eval()


@pytest.mark.parametrize("name", ["paper", "small"])
@pytest.mark.parametrize("model", ["hse", "fse"])
def test_presets_have_the_authors_sizes(name, model):
    config = preset(name, model, 500, 100)
    assert (config.model, config.hierarchical, config.task) == (model, model == "hse", "embedding")
    assert (config.feature_width, config.vocabulary_size, config.word_width) == (500, 100, 300)
    assert (config.hidden, config.frames) == ((1024, 80) if name == "paper" else (512, 40))
    limits = config.limits
    assert (limits.hierarchical, limits.frames, limits.words) == (model == "hse", config.frames, config.words)
    with torch.device("meta"):
        network = HSE(config)
    assert sum(p.numel() for p in network.video_encoder.tower.low.parameters()) == 3 * config.hidden * (
        500 + config.hidden + 2
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pool": "mean"}, "pool is 'mean', expected one of: max, last, attention"),
        ({"hidden": 0}, "hidden is 0, expected a whole number, 1 or more"),
        ({"frames": -1}, "frames is -1, expected a whole number, 1 or more"),
        ({"segments": 0}, "segments is 0"),
        ({"segments": 11}, "videos are cut into 11 segments, and at most 10 clips are kept"),
        ({"output_dropout": 1.0}, "output_dropout is 1.0, expected 0 or more and below 1"),
        ({"bidirectional": True, "hidden": 7}, "hidden is 7, expected an even number"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(fields, message):
    with pytest.raises(JsfError, match=message):
        HSEConfig("mine", 4, 9, **fields)


def test_an_unknown_preset_is_refused():
    with pytest.raises(JsfError, match="there is no preset 'huge' of hse, expected one of: paper, small"):
        preset("huge", "hse", 4, 9)
