import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.blanks import BLANK, Blank
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation import fill_in_the_blank
from jsf.evaluation.fill_in_the_blank import evaluate_fill_in_the_blank
from jsf.evaluation.intervals import interval

VIDEOS = ("red", "green", "blue")
WORDS = ("dog", "cat", "car", "man", "boy", "sun", "sea")


class TableScorer:
    """Scores words by (video, sentence), padding and the blank highest of all; counts what it was given."""

    task, description, extractor = "any", "a table", ""

    def __init__(self, table):
        self.table, self.calls = table, []
        self.vocabulary = Vocabulary((BLANK, *WORDS))

    def score_words(self, videos, sentences, rows, columns):
        names = [VIDEOS[int(video[0, 0])] for video in videos]
        self.calls.append((names, list(sentences), len(rows)))
        pairs = [(names[row], sentences[column]) for row, column in zip(rows, columns, strict=True)]
        return np.array([[99, 98, *self.table(*pair)] for pair in pairs], np.float32)


@pytest.fixture(scope="module")
def store(memory_store):
    return memory_store(VIDEOS)


def test_by_hand(store):
    scores = {
        ("red", f"a {BLANK}"): (7, 6, 5, 4, 3, 2, 1),
        ("blue", f"a {BLANK}"): (1, 2, 3, 4, 5, 7, 7),
        ("blue", f"my {BLANK}"): (0, 0, 0, 9, 9, 9, 9),
    }
    blanks = [
        Blank("red", f"a {BLANK}", "dog"),  # the best
        Blank("blue", f"a {BLANK}", "sea"),  # a tie of two for the best
        Blank("red", f"a {BLANK}", "boy"),  # the fifth
        Blank("red", f"a {BLANK}", "sun"),  # the sixth
        Blank("blue", f"my {BLANK}", "cat"),  # one of three that tie from the fifth on
        Blank("green", f"a {BLANK}", "zebra"),  # unknown: wrong, and not scored
        Blank("blue", f"a {BLANK}", BLANK),  # the blank is no word
    ]
    scorer = TableScorer(lambda *pair: scores[pair])
    found = evaluate_fill_in_the_blank(scorer, blanks, store)
    assert scorer.calls == [(["red", "blue"], [f"a {BLANK}", f"my {BLANK}"], 5)]  # each once
    assert found.correct == (1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert (found.questions, found.unknown) == (7, 2)
    assert found.accuracy == pytest.approx(100 * 1.5 / 7)
    assert found.top5 == pytest.approx(100 * (1 + 1 + 1 + 0 + 1 / 3) / 7)
    assert found.chance == pytest.approx(100 / 7 * 5 / 7)
    groups = [blank.video_id for blank in blanks]
    assert found.interval == interval(100 * np.array([1, 0.5, 0, 0, 0, 0, 0]), groups)
    assert found.top5_interval == interval(100 * np.array([1, 1, 1, 0, 1 / 3, 0, 0]), groups)
    assert json.loads(json.dumps(asdict(found)))["unknown"] == 2


@pytest.mark.parametrize(("value", "share"), [(7.0, 1.0), (np.nan, 0.0), (-np.inf, 1.0)])
def test_a_constant_scorer_gets_chance_and_nan_nothing(store, value, share):
    blanks = [Blank("red", BLANK, word) for word in (*WORDS, "zebra")]
    found = evaluate_fill_in_the_blank(TableScorer(lambda *_: [value] * len(WORDS)), blanks, store)
    assert found.accuracy == pytest.approx(share * found.chance)
    assert found.top5 == pytest.approx(share * 5 * found.chance)


def test_answers_all_unknown_are_reported_and_nothing_is_scored(store):
    scorer = TableScorer(None)
    found = evaluate_fill_in_the_blank(scorer, [Blank("red", BLANK, "zebra")], store)
    assert (found.unknown, found.accuracy, found.top5, found.chance, scorer.calls) == (1, 0.0, 0.0, 0.0, [])


def test_a_large_table_is_scored_in_blocks_of_whole_videos(store, monkeypatch):
    def score(video, sentence):
        return np.random.default_rng([VIDEOS.index(video), len(sentence)]).integers(0, 3, len(WORDS))

    drawn = np.random.default_rng(0).integers(0, 3, (40, 3))
    blanks = [Blank(VIDEOS[video], "a " * length + BLANK, WORDS[word]) for video, length, word in drawn]
    whole = TableScorer(score)
    expected = evaluate_fill_in_the_blank(whole, blanks, store)
    monkeypatch.setattr(fill_in_the_blank, "SCORES_AT_ONCE", 8 * len(whole.vocabulary))
    split = TableScorer(score)
    assert evaluate_fill_in_the_blank(split, blanks, store) == expected
    assert (len(whole.calls), len(split.calls)) == (1, 3)
    assert sorted(name for names, _, _ in split.calls for name in names) == sorted(VIDEOS)
    assert sum(pairs for _, _, pairs in split.calls) == 40


def blank(draw):
    sentence = "a " * draw(st.integers(0, 2)) + BLANK
    return Blank(draw(st.sampled_from(VIDEOS)), sentence, draw(st.sampled_from((*WORDS, "zebra"))))


@given(st.lists(st.composite(blank)(), min_size=1, max_size=8), st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_accuracy_agrees_with_a_plain_loop(store, blanks, seed, at_once):
    drawn = np.random.default_rng(seed).integers(-1, 2, (len(VIDEOS), 3, len(WORDS)))  # many ties

    def score(video, sentence):
        return drawn[VIDEOS.index(video), sentence.count("a")].tolist()

    first, five, unknown = [], [], 0
    for each in blanks:
        if each.answer not in WORDS:
            unknown += 1
            first.append(0.0)
            five.append(0.0)
            continue
        scores = dict(zip(WORDS, score(each.video_id, each.sentence), strict=True))
        better = sum(value > scores[each.answer] for value in scores.values())
        equal = sum(value == scores[each.answer] for value in scores.values())
        places = range(better + 1, better + equal + 1)  # the answer takes any of them
        first.append(sum(place <= 1 for place in places) / equal)
        five.append(sum(place <= 5 for place in places) / equal)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fill_in_the_blank, "SCORES_AT_ONCE", at_once)
        found = evaluate_fill_in_the_blank(TableScorer(score), blanks, store)
    assert found.correct == pytest.approx(tuple(first))
    assert found.accuracy == pytest.approx(100 * np.mean(first))
    assert found.top5 == pytest.approx(100 * np.mean(five))
    assert found.unknown == unknown
