"""What multiple choice trains on: a video with its sentence, the wrong choices, and sentences of other videos."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.split import Split
from jsf.training.losses import choice_loss

QUESTIONS = [
    Question("v0", ("a b", "b c", "c d", "d e", "e f"), 0),
    Question("v1", ("f e", "a b", "e d", "d c", "c b"), 1),  # its right sentence is that of v0 too
    Question("v2", ("b a", "b a c", "a b", "b c", "d"), 4),  # the right one of v0 and v1 is wrong here
    Question("v0", ("f", "c c", "d d", "e e", "f f"), 1),  # another question about v0
    Question("v3", ("b a", "b", "b", "c", "d d d"), 0),  # a wrong choice comes twice
    Question("v4", ("c a", "d a"), 0),  # fewer choices
]


@pytest.fixture(scope="module")
def split(varied):
    return Split(varied.store, QUESTIONS)


def words_of(examples, batch):
    """The sentences of a batch, as words."""
    return [
        " ".join(examples.vocabulary.words[i - 1] for i in words[:length])
        for words, length in zip(batch.words, batch.word_lengths, strict=True)
    ]


def rights(questions):
    return [question.options[question.answer] for question in questions]


@given(seed=st.integers(0, 1000), limit=st.sampled_from([5, 7, 10]))
def test_candidates_are_the_right_one_the_wrong_ones_and_right_ones_of_other_videos(split, examples_of, seed, limit):
    examples = examples_of("multiple-choice", split, candidates=limit)
    random = np.random.default_rng(seed)
    rows = random.permutation(len(QUESTIONS))[: random.integers(2, 7)]
    batch, asked = examples.stack(rows, random), [QUESTIONS[row] for row in rows]
    sentences = words_of(examples, batch)
    assert batch.candidates.shape == (len(rows), limit)
    assert sentences[: len(rows)] == rights(asked)
    assert len(set(sentences[len(rows) :])) == len(sentences) - len(rows)
    for i, question in enumerate(asked):
        right, *others = (sentences[column] for column in batch.candidates[i])
        wrong = [text for j, text in enumerate(question.options) if j != question.answer]
        assert batch.candidates[i, 0] == i and right == question.options[question.answer]
        assert others[: len(wrong)] == wrong
        assert set(others[len(wrong) :]) <= set(rights(q for q in QUESTIONS if q.video_id != question.video_id))
        about = {*rights(q for q in asked if q.video_id == question.video_id)}
        described = [text for text, known in zip(sentences, batch.describes[i], strict=True) if known]
        assert set(described) == about
        assert {column for column, text in enumerate(sentences) if text in about} == set(
            batch.describes[i].nonzero().flatten().tolist()
        )


def test_the_paper_gives_ten_candidates_of_which_four_are_wrong_choices_and_five_are_random(toy_questions, examples_of):
    examples = examples_of("multiple-choice", toy_questions["split"])
    batch = examples.stack(np.arange(12), np.random.default_rng(0))
    sentences = words_of(examples, batch)
    assert batch.candidates.shape == (12, 10)
    drawn = []
    for row, columns in enumerate(batch.candidates.tolist()):
        question = toy_questions["split"].rows[row]
        assert {sentences[column] for column in columns[:5]} == set(question.options)
        drawn.append({sentences[column] for column in columns[5:]})
    assert all(a != b for a, b in combinations(drawn, 2))


def test_captions_give_questions_whose_wrong_choices_are_sampled(toy, examples_of):
    examples = examples_of("multiple-choice", toy["split"])
    assert len(examples) == len(toy["split"].rows) == 61
    for question, caption in zip(examples.questions, toy["split"].rows, strict=True):
        assert (question.video_id, question.options[question.answer]) == (caption.video_id, caption.sentence)
        assert len(set(question.options)) == 5


def test_each_pair_of_video_and_candidate_is_matched_once(split, examples_of):
    examples = examples_of("multiple-choice", split)
    batch = examples.stack(np.arange(6), np.random.default_rng(0))
    assert len(set(batch.candidates[4].tolist())) < 10  # a candidate comes twice
    videos, sentences = examples.pairs(batch, None)
    expected = {(video, column) for video, columns in enumerate(batch.candidates.tolist()) for column in columns}
    assert sorted(zip(videos.tolist(), sentences.tolist(), strict=True)) == sorted(expected)


def test_the_loss_counts_the_wrong_candidates_alone(split, examples_of):
    examples = examples_of("multiple-choice", split)
    batch = examples.stack(np.arange(6), np.random.default_rng(0))
    pairs = examples.pairs(batch, None)
    scores = torch.randn(len(pairs[0]), generator=torch.Generator().manual_seed(0))
    values = torch.full(batch.describes.shape, 100.0).index_put(pairs, scores)
    wrong = torch.zeros_like(batch.describes)
    for video, columns in enumerate(batch.candidates):
        wrong[video, columns] = ~batch.describes[video, columns]
    assert wrong.any(1).all()
    torch.testing.assert_close(examples.loss(scores, pairs, batch), choice_loss(values, wrong, 1.0))


def test_questions_about_one_video_have_no_other_sentences_to_draw(varied, examples_of):
    questions = [question for question in QUESTIONS if question.video_id == "v0"]
    examples = examples_of("multiple-choice", Split(varied.store, questions))
    with pytest.raises(JsfError, match="all questions are about 'v0'"):
        examples.stack(np.arange(2), np.random.default_rng(0))
