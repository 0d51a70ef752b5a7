"""A checkpoint and its bundle explain a pair alike."""

from dataclasses import replace

import numpy as np
import pytest

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import ABLATIONS
from jsf.runtime.bundle import Bundle
from jsf.runtime.explain import explain as explain_bundle
from jsf.training.explain import explain

WORDS = (BLANK, "red", "blue", "circle", "square", "then", "a", "while", "rings")
SIZES = {"word_width": 6, "frame_channels": 8, "lstm": 5, "joint": 8, "refine": 7, "conv": 6, "head": (6, 6, 8)}
FILLS = JSFusionConfig("tiny", 12, len(WORDS) + 1, task="fill-in-the-blank", **SIZES)


def draw(length, width=12, extractor="toy 1"):
    features = np.random.default_rng(length).standard_normal((length, width)).astype(np.float32)
    return FeatureSequence(features, 5, extractor)


def check_alike(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours.words, ours.answer) == (theirs.words, theirs.answer)
        assert ours.score == pytest.approx(theirs.score, abs=1e-4)
        maps = zip(
            [ours.attention, *ours.stages, *ours.gates], [theirs.attention, *theirs.stages, *theirs.gates], strict=True
        )
        for our_map, their_map in maps:
            np.testing.assert_allclose(our_map, their_map, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("length", [1, 4, 39, 61])
def test_a_checkpoint_and_its_bundle_agree(length, tiny_checkpoint, tiny_bundle):
    sentences = ["red", "a red circle then a blue square", "rings " * 45]
    found = explain(Checkpoint.load(tiny_checkpoint), draw(length), sentences)
    check_alike(found, explain_bundle(Bundle.open(tiny_bundle), draw(length), sentences))
    assert len({explanation.score for explanation in found}) == 3


@pytest.fixture(scope="module")
def blank_alone(golden_weights):
    """A tiny model after the authors' for fill-in-the-blank: padding on the left, and the blank alone meets frames."""
    config = replace(FILLS, left_padded=True, blank_only=True, blank_hidden=True, pool="sum")
    return Checkpoint(golden_weights(JSFusion(config)), Vocabulary(WORDS))


def test_both_agree_where_the_blank_alone_meets_the_frames(blank_alone, export_once):
    bundle = Bundle.open(export_once(blank_alone))
    sentences = ["a red _____ then rings", "_____"]
    for length in (1, 6, 39, 40):
        found = explain(blank_alone, draw(length), sentences)
        check_alike(found, explain_bundle(bundle, draw(length), sentences))
        assert [explanation.words for explanation in found] == [(BLANK,), (BLANK,)]
        assert found[0].attention.shape == (length, 1)
        assert found[0].attention.min() > 0


def test_the_blank_stands_among_the_words_and_its_answer_is_the_most_probable(golden_weights):
    checkpoint = Checkpoint(golden_weights(JSFusion(FILLS)), Vocabulary(WORDS))
    (found,) = explain(checkpoint, draw(9), ["A strange red _____ then rings"])
    assert found.words == ("a", "red", BLANK, "then", "rings")
    assert found.attention.shape == (9, 5)
    assert found.answer in WORDS[1:]
    assert 1 / len(WORDS) < found.score < 1


def test_a_model_without_maps_is_refused(golden_weights):
    config = JSFusionConfig("small, lstm-fusion", 12, len(WORDS) + 1, **SIZES)
    model = golden_weights(JSFusion(replace(config, **ABLATIONS["lstm-fusion"])))
    with pytest.raises(JsfError, match="'small, lstm-fusion' has no maps"):
        explain(Checkpoint(model, Vocabulary(WORDS)), draw(9), ["a red circle"])


@pytest.mark.parametrize(
    ("video", "message"), [(draw(9, 7), "7 wide; the model takes 12"), (draw(9, extractor="toy 2"), "by 'toy 2'")]
)
def test_other_features_are_refused(video, message, tiny_checkpoint):
    with pytest.raises(JsfError, match=message):
        explain(Checkpoint.load(tiny_checkpoint), video, ["a red circle"])


def test_a_sentence_without_a_known_word_is_refused(tiny_checkpoint):
    with pytest.raises(JsfError, match="none of the words"):
        explain(Checkpoint.load(tiny_checkpoint), draw(9), ["nothing known"])
