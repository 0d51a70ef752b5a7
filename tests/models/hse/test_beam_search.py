"""Beam search against every sentence that there is, over a decoder that remembers all it has said."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.models.hse.beam_search import END, beam_search

WORDS, LIMIT = 4, 4
"""END and three words; 3 + 9 + 27 + 81 sentences."""

SEEDS = st.integers(0, 10_000)


def decoder(seed, rows):
    """A step whose states are what was said before: [N, 1 + LIMIT], the row and the words; and its table."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((rows, WORDS**LIMIT * 2, WORDS)).astype(np.float32)
    table = torch.from_numpy(logits).log_softmax(-1)

    def step(words, states):
        row, place, code = states.long().T
        code = torch.where(place > 0, code * WORDS + words, 0)
        offset = torch.tensor([(WORDS**i - 1) // (WORDS - 1) for i in range(LIMIT + 1)])[place]
        return table[row, offset + code], torch.stack([row, place + 1, code], 1).float()

    return step


def begin(rows, width):
    return torch.tensor([[row, 0, 0] for row in range(rows) for _ in range(width)]).float()


def score(step, row, sentence):
    """The mean log-probability of a sentence's words and of its end, which one of LIMIT words does not have."""
    states, last, total = begin(row + 1, 1)[-1:], torch.tensor([END]), 0.0
    told = [*sentence, END][:LIMIT]
    for word in told:
        found, states = step(last, states)
        total, last = total + float(found[0, word]), torch.tensor([word])
    return total / len(told)


def every_sentence():
    return [words for n in range(1, LIMIT + 1) for words in itertools.product(range(1, WORDS), repeat=n)]


def told(sentences):
    return [tuple(word for word in sentence if word != END) for sentence in sentences.tolist()]


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_wide_enough_beams_find_the_best_of_all_sentences(seed):
    step, width = decoder(seed, 3), 200
    sentences, means = beam_search(step, begin(3, width), width, LIMIT)
    for row, sentence in enumerate(told(sentences)):
        best = max(every_sentence(), key=lambda words: score(step, row, words))
        assert sentence == best
        assert float(means[row]) == pytest.approx(score(step, row, best), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 12))
def test_the_mean_is_that_of_the_sentence(seed, width):
    step = decoder(seed, 2)
    sentences, means = beam_search(step, begin(2, width), width, LIMIT)
    for row, sentence in enumerate(told(sentences)):
        assert float(means[row]) == pytest.approx(score(step, row, sentence), abs=1e-5)


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_one_beam_takes_the_most_probable_word_each_time(seed):
    step, rows = decoder(seed, 4), 4
    sentences, _ = beam_search(step, begin(rows, 1), 1, LIMIT)
    for row in range(rows):
        greedy, last, states = [], torch.tensor([END]), begin(rows, 1)[row : row + 1]
        while len(greedy) < LIMIT:
            found, states = step(last, states)
            last = found[:, (not greedy) :].argmax(1) + (not greedy)  # no sentence is empty
            if last == END:
                break
            greedy.append(int(last))
        assert told(sentences)[row] == tuple(greedy)


@settings(max_examples=30, deadline=None)
@given(SEEDS, st.integers(1, 6))
def test_sentences_do_not_depend_on_those_beside_them(seed, width):
    step = decoder(seed, 3)
    together, _ = beam_search(step, begin(3, width), width, LIMIT)
    for row in range(3):
        alone, _ = beam_search(step, begin(3, width)[row * width : (row + 1) * width], width, LIMIT)
        assert told(alone) == [told(together)[row]]


def test_a_sure_end_ends_the_search():
    calls = []

    def step(words, states):
        calls.append(len(words))
        return torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0]])[(words == END).long()], states

    sentences, means = beam_search(step, torch.zeros(2, 1), 1, 40)
    assert (sentences.tolist(), means.tolist(), calls) == ([[1, END], [1, END]], [0.0, 0.0], [2, 2])
