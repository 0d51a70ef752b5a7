"""Encoders in closed form: the projections against another derivation, and what they find before anything is learnt."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.evaluation.metrics import ranks
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset
from jsf.training.alignment import Alignment
from jsf.training.closed_form import FRAMES_RIDGE, WORDS_RIDGE, correlate, rarity, set_in_closed_form
from jsf.training.inputs import build_vocabulary, standardize
from jsf.training.train import train

SETTINGS = {"closed_form": True, "alignment": 1.0, "distill": 5.0, "neighbours": 0}


@pytest.fixture
def encoded(tiny):
    """(split) -> a tiny model whose encoders are set from it, and its vocabulary."""

    def build(split):
        torch.manual_seed(0)
        vocabulary = build_vocabulary(split, tiny[1], None)
        model = JSFusion(preset("tiny", "retrieval", 7, len(vocabulary)))
        standardize(model.frame_encoder, split)
        set_in_closed_form(model, split, vocabulary)
        return model.eval(), vocabulary

    return build


def inverse_root(covariance, ridge):
    values, vectors = np.linalg.eigh(
        covariance + ridge * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    )
    return vectors / np.sqrt(values) @ vectors.T


@given(st.integers(0, 99), st.integers(3, 20), st.integers(1, 6), st.integers(1, 6))
@settings(deadline=None, max_examples=40)
def test_the_projections_are_those_of_symmetric_roots(seed, pairs, wide, narrow):
    rng = np.random.default_rng(seed)
    videos, sentences = rng.standard_normal((pairs, wide)) + 3, rng.standard_normal((pairs, narrow)) - 1
    a, b = correlate(torch.from_numpy(videos), torch.from_numpy(sentences), most=6)
    v, s = videos - videos.mean(0), sentences - sentences.mean(0)
    root_v, root_s = inverse_root(v.T @ v, FRAMES_RIDGE), inverse_root(s.T @ s, WORDS_RIDGE)
    left, found, right = np.linalg.svd(root_v @ v.T @ s @ root_s, full_matrices=False)
    expected = root_v @ left * found**2 @ right @ root_s  # signs and equal correlations leave the product as it is
    np.testing.assert_allclose((a @ b.T).numpy(), expected, rtol=1e-4, atol=1e-6)
    assert a.shape == (wide, min(wide, narrow)) and b.shape == (narrow, min(wide, narrow))


def test_what_does_not_vary_is_refused():
    with pytest.raises(JsfError, match="all 4 numbers are the same in every pair: nothing is correlated"):
        correlate(torch.ones(5, 4), torch.randn(5, 3), most=2)


def test_a_rare_word_weighs_more():
    words = torch.tensor([[2, 3, 0], [2, 2, 4], [2, 0, 0]])
    weights = rarity(words, torch.tensor([2, 3, 1]), 6)
    plain = np.maximum(np.log(4 / np.array([1, 1, 4, 2, 2, 1])), 1e-3)  # of 3 sentences; a word counts once in each
    np.testing.assert_allclose(weights.numpy(), plain / plain[[2, 3, 2, 2, 4, 2]].mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["toy", "toy_questions"])
def test_sentences_find_clips_of_their_colours_before_anything_is_learnt(kind, encoded, toy, request):
    model, vocabulary = encoded(request.getfixturevalue(kind)["split"])
    held = toy["val"]
    features = [torch.from_numpy(held.store.read(row.video_id)) for row in held.rows]
    frames = torch.tensor([len(clip) for clip in features])
    words, lengths = map(torch.from_numpy, vocabulary.encode_batch([row.sentence for row in held.rows]))
    with torch.inference_mode():
        videos = model.frame_encoder(torch.nn.utils.rnn.pad_sequence(features, batch_first=True), frames)
        scores = Alignment()(videos, frames, model.encode_words(words, lengths), lengths).numpy()
    place = ranks(scores.T, np.eye(len(held.rows), dtype=bool))
    assert (place <= 2).mean() >= 0.9  # the clip of the same colours the other way round may come first


def test_the_encoders_stay_while_the_matcher_learns(tiny, toy, tmp_path):
    one, three = (
        train(**toy, out=tmp_path / str(epochs), preset="tiny", settings={**SETTINGS, "epochs": epochs}).jsfusion
        for epochs in (1, 3)
    )
    for name, before in one.state_dict().items():
        same = torch.equal(before, three.state_dict()[name])
        assert same == ("matcher" not in name), name


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("toy", {"model": "jst-fc"}, "closed_form sets encoders as the paper's, and those of tiny, jst-fc are others"),
        ("toy_blanks", {"task": "fill-in-the-blank"}, "closed_form is for tasks that score sentences"),
    ],
)
def test_other_encoders_and_blanks_are_refused(kind, options, message, tiny, tmp_path, request):
    splits = request.getfixturevalue(kind)
    with pytest.raises(JsfError, match=message):
        train(**splits, out=tmp_path / "run", preset="tiny", settings=SETTINGS, **options)
    assert not (tmp_path / "run").exists()
