"""What fill-in-the-blank trains on: sentences with a blank, their answers, and the video of each."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.blanks import BLANK, FUNCTION_WORDS, Blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.sequence import pad
from jsf.data.split import Split
from jsf.data.vocabulary import BLANK_ID, Vocabulary
from jsf.models.jsfusion import JSFusion
from jsf.models.layers import valid_steps
from jsf.models.matcher import mean_frame
from jsf.models.presets import preset
from jsf.training.fill_in_the_blank import ALIKE, BlankExamples, begin_as_words
from jsf.training.recipe import Recipe
from jsf.training.train import train

VOCABULARY = Vocabulary((BLANK, "a", "b", "c", "d"))


@pytest.fixture(scope="module")
def of(varied):
    """(rows, **fields of the recipe) -> examples with `VOCABULARY`."""
    config = preset("paper", "fill-in-the-blank", 2, len(VOCABULARY))
    return lambda rows, **fields: BlankExamples(Split(varied.store, rows), VOCABULARY, config, Recipe(**fields))


def test_a_batch_holds_the_blanks_with_their_answers_and_videos(of):
    examples = of([Blank("v1", f"{BLANK} b", "a"), Blank("v2", f"d x {BLANK}", "c"), Blank("v1", f"a {BLANK}", "b")])
    batch = examples.stack(np.array([1, 0, 2]), np.random.default_rng(0))
    a, b, c, d = (VOCABULARY.ids[word] for word in "abcd")
    assert batch.words[:, :3].tolist() == [[d, BLANK_ID, 0], [BLANK_ID, b, 0], [a, BLANK_ID, 0]]
    assert not batch.words[:, 3:].any()
    assert batch.word_lengths.tolist() == [2, 2, 2]
    assert batch.blanks.tolist() == [1, 0, 1]
    assert batch.answers.tolist() == [c, a, b]
    assert batch.features[:, 0, 1].tolist() == [2, 1, 1]
    assert batch.describes.tolist() == [[True, False, False], [False, True, True], [False, True, True]]


def test_each_blank_meets_its_own_video_and_the_loss_is_the_cross_entropy_of_its_answer(of):
    examples = of([Blank("v1", f"{BLANK} b", "a"), Blank("v2", BLANK, "c")])
    batch = examples.stack(np.arange(2), np.random.default_rng(0))
    pairs = examples.pairs(batch, None)
    assert [index.tolist() for index in pairs] == [[0, 1], [0, 1]]
    scores = torch.randn(2, len(VOCABULARY), generator=torch.Generator().manual_seed(0))
    expected = -(F.log_softmax(scores, 1)[0, VOCABULARY.ids["a"]] + F.log_softmax(scores, 1)[1, VOCABULARY.ids["c"]])
    torch.testing.assert_close(examples.loss(scores, pairs, batch), expected / 2)


def test_an_unknown_answer_is_not_trained_on_and_is_validated(of):
    rows = [Blank("v1", f"{BLANK} b", "x"), Blank("v2", BLANK, "c")]
    examples = of(rows)
    assert len(examples) == 1
    assert examples.answers.tolist() == [VOCABULARY.ids["c"]]
    assert examples.table == rows


def test_of_captions_every_known_content_word_is_blanked_and_one_a_caption_is_validated(of):
    examples = of([Caption("v1", "b the x c"), Caption("v2", "the d")])
    assert "the" in FUNCTION_WORDS
    assert sorted(zip(examples.video_ids.tolist(), examples.answers.tolist(), strict=True)) == sorted(
        (video, VOCABULARY.ids[word]) for video, word in (("v1", "b"), ("v1", "c"), ("v2", "d"))
    )
    assert [blank.video_id for blank in examples.table] == ["v1", "v2"]
    for words, length, place, answer in zip(
        examples.words, examples.word_lengths, examples.blanks, examples.answers, strict=True
    ):
        assert words[place] == BLANK_ID
        filled = np.where(np.arange(40) == place, answer, words)[:length].tolist()
        assert filled in ([VOCABULARY.ids["b"], VOCABULARY.ids["c"]], [VOCABULARY.ids["d"]])


@given(seed=st.integers(0, 1000), count=st.integers(1, 400))
def test_blanks_of_like_lengths_share_a_batch_and_batches_stay_shuffled(of, seed, count):
    rng = np.random.default_rng(seed)
    examples = of([Blank("v1", " ".join(["b"] * n + [BLANK]), "c") for n in rng.integers(0, 12, count)], batch=4)
    order = examples.order(rng.permutation(count))
    batches = examples.word_lengths[order].reshape(-1, 4)
    assert len(set(order.tolist())) == len(order) == count // 4 * 4
    for start in range(0, len(batches), ALIKE):
        window = batches[start : start + ALIKE]
        assert (
            np.diff(np.sort(window.ravel()).reshape(-1, 4))
            == np.diff(window[np.lexsort((window[:, -1], window[:, 0]))])
        ).all()
    if len(batches) > 15:
        assert (np.diff(batches[:, 0]) < 0).any()


def test_answers_that_are_all_unknown_are_refused(of):
    with pytest.raises(JsfError, match="none of the answers of 2 blanks is in the vocabulary"):
        of([Blank("v1", f"{BLANK} b", "x"), Blank("v2", BLANK, "y")])


def test_answers_begin_as_the_word_vectors():
    config = preset("small", "fill-in-the-blank", 7, 9)
    model = JSFusion(replace(config, joint=16, word_width=16, head=(8, 8, 16)))
    begin_as_words(model, 2.0)
    assert torch.equal(model.matcher.head.d8.weight, 2 * model.word_encoder.embedding.weight)
    with pytest.raises(JsfError, match=r"answer_vectors sets D8, \[9, 64\], to the word vectors, \[9, 300\]") as found:
        begin_as_words(JSFusion(config), 2.0)
    assert "joint=300" in found.value.fix


@pytest.mark.parametrize(("weight", "least", "most"), [(1.0, 0.8, 1.0), (0.0, 0.0, 0.6)])
def test_a_loss_of_the_mean_frame_teaches_it_what_it_shows(weight, least, most, tiny, toy_blanks, tmp_path):
    """D8 alone, of a clip of two colours, says one of them."""
    settings = {"frame_loss": weight, "learning_rate": 1e-2, "epochs": 10}
    found = train(**toy_blanks, out=tmp_path / "run", task="fill-in-the-blank", preset="tiny", settings=settings)
    model, rows = found.jsfusion.eval(), toy_blanks["val"].rows
    features, lengths = map(torch.from_numpy, pad([toy_blanks["val"].store.read(row.video_id) for row in rows]))
    with torch.no_grad():
        frames = mean_frame(model.frame_encoder(features, lengths), valid_steps(lengths, 40))
        said = model.matcher.head.d8(frames).argmax(1)
    shown = [found.vocabulary.words[word - 1] in row.filled for word, row in zip(said.tolist(), rows, strict=True)]
    assert least <= np.mean(shown) <= most


def test_a_loss_of_the_mean_frame_is_for_blanks(tiny, toy, tmp_path):
    with pytest.raises(JsfError, match="frame_loss is for fill-in-the-blank"):
        train(**toy, out=tmp_path / "run", preset="tiny", settings={"frame_loss": 0.3})
