"""The scorer for each task, from bundles padded on either side: the numbers are PyTorch's."""

import numpy as np
import pytest
import torch

from jsf.data.blanks import BLANK
from jsf.data.errors import JsfError
from jsf.data.sequence import pad
from jsf.runtime.scorer import Scorer

CHOOSES, FILLS, PAPER_FILLS = (
    ("official", "multiple-choice"),
    ("official", "fill-in-the-blank"),
    ("paper", "fill-in-the-blank"),
)
SENTENCES = ["a red circle", "blue", "a square then a red square then rings while blue circle a red a blue circle"]
BLANKS = [
    "a red _____ then rings",
    "__",
    "then a square while a red circle then rings a blue _____ circle a blue red a",
]


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(3)
    return [random.standard_normal((length, 12)).astype(np.float32) for length in (1, 6, 21, 40, 95)]


def by_hand(checkpoint, videos, words, lengths, blanks=None):
    """The scores of every video with every sentence, by PyTorch, uncropped."""
    model = checkpoint.model
    features, frames = map(torch.from_numpy, pad(videos, left=model.config.left_padded))
    sentences, lengths = torch.from_numpy(words), torch.from_numpy(lengths)
    pairs = torch.cartesian_prod(torch.arange(len(videos)), torch.arange(len(words))).T
    with torch.no_grad():
        sides = model.frame_encoder(features, frames), frames, model.word_encoder(sentences, lengths), lengths
        return model.matcher(*sides, *pairs, None if blanks is None else torch.from_numpy(blanks)).numpy()


def test_sentences_are_scored_by_a_model_padded_on_the_left(tiny_variant, variant_bundle, videos):
    checkpoint, scorer = tiny_variant(*CHOOSES), Scorer.load(variant_bundle(*CHOOSES), "cpu")
    expected = by_hand(checkpoint, videos, *checkpoint.vocabulary.encode_batch(SENTENCES)).reshape(5, 3)
    assert np.ptp(expected) > 0.1
    assert np.allclose(scorer.score_matrix(videos, SENTENCES), expected, atol=1e-5)
    assert scorer.score(videos[2], SENTENCES[2]) == pytest.approx(expected[2, 2], abs=1e-5)
    rows, columns = np.array([4, 0, 0, 2]), np.array([1, 1, 2, 0])
    assert np.allclose(scorer.match_pairs(videos, SENTENCES, rows, columns), expected[rows, columns], atol=1e-5)


@pytest.mark.parametrize("skip", [False, True], ids=["", "video_skip"])
@pytest.mark.parametrize("which", [FILLS, PAPER_FILLS], ids=", ".join)
def test_blanks_are_filled(which, skip, tiny_variant, variant_bundle, videos):
    checkpoint = tiny_variant(*which, video_skip=skip)
    scorer = Scorer.load(variant_bundle(*which, video_skip=skip), "cpu")
    expected = by_hand(checkpoint, videos, *checkpoint.vocabulary.encode_blanks(BLANKS))
    assert expected.shape == (15, 10)
    assert len(np.unique(expected.round(5), axis=0)) == 15
    rows, columns = np.divmod(np.arange(15), 3)
    shuffled = np.random.default_rng(0).permutation(15)
    found = scorer.score_words(videos, BLANKS, rows[shuffled], columns[shuffled])
    assert np.allclose(found, expected[shuffled], atol=1e-5)

    words = scorer.fill(videos[3], BLANKS[0], top=3)
    best = np.argsort(-expected[9][2:])[:3] + 2
    assert [word for word, _ in words] == [checkpoint.vocabulary.words[i - 1] for i in best]
    shares = np.exp(expected[9][2:]) / np.exp(expected[9][2:]).sum()
    assert [share for _, share in words] == pytest.approx(shares[best - 2].tolist(), abs=1e-5)


@pytest.mark.parametrize(
    "ask",
    [
        lambda scorer, video: scorer.score(video, "a red circle"),
        lambda scorer, video: scorer.score_matrix([video], ["a red circle"]),
    ],
)
def test_what_fills_blanks_scores_no_sentence(ask, variant_bundle, videos):
    with pytest.raises(JsfError, match="is a model for fill-in-the-blank: it scores words, not sentences") as refusal:
        ask(Scorer.load(variant_bundle(*FILLS), "cpu"), videos[0])
    assert "jsf fill VIDEO" in refusal.value.fix


def test_what_scores_sentences_fills_no_blank(tiny_bundle, videos):
    with pytest.raises(JsfError, match="is a model for retrieval: it does not fill blanks") as refusal:
        Scorer.load(tiny_bundle, "cpu").fill(videos[0], BLANKS[0])
    assert "jsf train --task fill-in-the-blank" in refusal.value.fix


@pytest.mark.parametrize(("sentence", "found"), [("a red circle", "no blank"), (f"{BLANK} {BLANK}", "2 blanks")])
def test_a_sentence_without_its_one_blank_is_refused(sentence, found, variant_bundle, videos):
    with pytest.raises(JsfError, match=f"has {found}, expected one") as refusal:
        Scorer.load(variant_bundle(*FILLS), "cpu").fill(videos[0], sentence)
    assert BLANK in refusal.value.fix
