import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.questions import Question
from jsf.evaluation.intervals import interval
from jsf.evaluation.multiple_choice import evaluate_multiple_choice

VIDEOS = ("red", "green", "blue")


class TableScorer:
    """Scores by (video, sentence); counts what it was given."""

    task, description, extractor = "any", "a table", ""

    def __init__(self, table):
        self.table, self.calls = table, []

    def match_pairs(self, videos, sentences, rows, columns):
        self.calls.append((len(videos), list(sentences), len(rows)))
        pairs = [(VIDEOS[int(videos[row][0, 0])], sentences[column]) for row, column in zip(rows, columns, strict=True)]
        return np.array([self.table(*pair) for pair in pairs], np.float32)


@pytest.fixture(scope="module")
def store(memory_store):
    return memory_store(VIDEOS)


def test_by_hand(store):
    table = {("red", "a"): 3, ("red", "b"): 1, ("red", "c"): 2, ("blue", "a"): 5, ("blue", "b"): 5, ("blue", "d"): -1}
    questions = [
        Question("red", ("b", "a", "c"), 1),  # right
        Question("blue", ("a", "b", "d"), 0),  # a tie of two
        Question("red", ("c", "b"), 1),  # wrong, of two options
        Question("blue", ("d", "b"), 1),  # right
    ]
    scorer = TableScorer(lambda *pair: table[pair])
    found = evaluate_multiple_choice(scorer, questions, store)
    assert scorer.calls == [(2, ["b", "a", "c", "d"], 10)]  # each video and each sentence once
    assert found.correct == (1.0, 0.5, 0.0, 1.0)
    assert (found.questions, found.accuracy) == (4, 62.5)
    assert found.chance == pytest.approx(100 * (1 / 3 + 1 / 3 + 1 / 2 + 1 / 2) / 4)
    assert found.interval == interval(np.array([100.0, 50, 0, 100]), ["red", "blue", "red", "blue"])
    assert json.loads(json.dumps(asdict(found)))["accuracy"] == 62.5


def test_many_questions_are_answered_in_blocks_of_whole_videos(store, monkeypatch):
    questions = [Question(video, tuple("abc"), i % 3) for i in range(2) for video in VIDEOS]
    scorer = TableScorer(lambda video, sentence: VIDEOS.index(video) == "abc".index(sentence))
    whole = evaluate_multiple_choice(scorer, questions, store)
    monkeypatch.setattr("jsf.evaluation.multiple_choice.QUESTIONS_AT_ONCE", 2)
    assert evaluate_multiple_choice(scorer, questions, store) == whole
    assert scorer.calls == [(3, ["a", "b", "c"], 18)] + 3 * [(1, ["a", "b", "c"], 6)]


@pytest.mark.parametrize("answer", range(5))
def test_a_constant_scorer_gets_chance(store, answer):
    questions = [Question(video, tuple("abcde"), answer) for video in VIDEOS]
    found = evaluate_multiple_choice(TableScorer(lambda *_: 7.0), questions, store)
    assert found.accuracy == found.chance == pytest.approx(20.0)


def test_a_model_that_breaks_is_never_rewarded(store):
    found = evaluate_multiple_choice(TableScorer(lambda *_: np.nan), [Question("red", ("a", "b"), 0)], store)
    assert found.accuracy == 0.0


def question(draw):
    options = draw(st.lists(st.sampled_from("abcdef"), min_size=2, max_size=5))
    return Question(draw(st.sampled_from(VIDEOS)), tuple(options), draw(st.integers(0, len(options) - 1)))


@given(st.lists(st.composite(question)(), min_size=1, max_size=6), st.integers(0, 2**32 - 1))
def test_accuracy_agrees_with_a_plain_loop(store, questions, seed):
    drawn = np.random.default_rng(seed).integers(-1, 2, (len(VIDEOS), 6))  # many ties

    def score(video, sentence):
        return float(drawn[VIDEOS.index(video), "abcdef".index(sentence)])

    expected = []
    for each in questions:
        scores = [score(each.video_id, option) for option in each.options]
        best = [i for i, value in enumerate(scores) if value == max(scores)]
        expected.append(1 / len(best) if each.answer in best else 0.0)
    found = evaluate_multiple_choice(TableScorer(score), questions, store)
    assert found.correct == pytest.approx(tuple(expected))
    assert found.accuracy == pytest.approx(100 * sum(expected) / len(expected))
    assert found.chance == pytest.approx(100 * sum(1 / len(each.options) for each in questions) / len(questions))
