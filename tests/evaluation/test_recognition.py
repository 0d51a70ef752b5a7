import sys
from itertools import permutations
from statistics import mean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.evaluation.intervals import interval
from jsf.evaluation.recognition import (
    INVERSE_PENALTY,
    embed_labelled,
    evaluate_classifier,
    evaluate_recognition,
    train_classifier,
)

VIDEOS = {"a": "red red blue", "b": "green", "c": "green blue", "d": "dark"}


@pytest.fixture(scope="module")
def store(colour_store):
    return colour_store(VIDEOS)


def labelled(*pairs):
    return [Caption(*pair) for pair in pairs]


class TestZeroShot:
    """The label whose words are closest."""

    def test_by_hand(self, store, toy_embedder):
        rows = labelled(("a", "red"), ("b", "green"), ("c", "blue"), ("d", "green"))
        found = evaluate_recognition(toy_embedder(), rows, store)
        # a: right; b: right; c: green and blue tie; d: "green" ties at 0 with the other two.
        assert found.correct == pytest.approx((1, 1, 1 / 2, 1 / 3))
        assert (found.questions, found.labels, found.unknown) == (4, 3, 0)
        assert found.accuracy == pytest.approx(100 * (1 + 1 + 1 / 2 + 1 / 3) / 4)
        assert found.interval == interval(100 * np.array(found.correct))
        assert found.chance == pytest.approx(100 / 3)
        assert (found.top5, found.top5_interval, found.top5_chance) == (100, (100, 100), 100)

    def test_labels_may_be_of_several_words_and_more_than_the_table_has(self, store, toy_embedder):
        rows = labelled(("a", "red blue"), ("b", "green"))
        embedder, names = toy_embedder(), ["red blue", "red red blue", "green", "green green dark", "dark"]
        found = evaluate_recognition(embedder, rows, store, names)
        assert embedder.texts == [names]
        assert found.correct == (0, 1)  # a video of two reds and one blue is nearer to the second label
        assert (found.labels, found.chance) == (5, pytest.approx(20))

    def test_among_the_first_five_of_seven(self, store, toy_embedder):
        names = ["red", "red red blue", "red blue", "blue red blue", "blue", "dark red", "blue red blue blue"]
        near, far = ("a", "blue red blue blue"), ("a", "dark red")  # of seven, a finds them at 5 and 6
        for row, correct, five in ((near, 0, 1), (far, 0, 0), (("b", "blue"), 1 / 7, 5 / 7)):  # no label is green
            found = evaluate_recognition(toy_embedder(), labelled(row), store, names)
            assert found.correct == pytest.approx((correct,))
            assert found.top5 == pytest.approx(100 * five)
            assert (found.chance, found.top5_chance) == pytest.approx((100 / 7, 500 / 7))
        found = evaluate_recognition(toy_embedder(), labelled(near, far), store, names)
        assert found.top5 == 100  # the nearer one does not compete with the other: both are fifth of six
        assert found.top5_chance == pytest.approx(500 / 6)

    def test_other_labels_of_a_video_do_not_compete(self, store, toy_embedder):
        rows = labelled(("a", "red"), ("a", "blue"), ("b", "green"))
        found = evaluate_recognition(toy_embedder(), rows, store)
        assert found.correct == (1, 1, 1)
        assert found.chance == pytest.approx(100 * mean([1 / 2, 1 / 2, 1 / 3]))
        assert found.interval == (100, 100)

    def test_rows_of_one_video_are_resampled_together(self, store, toy_embedder):
        rows = labelled(("a", "red"), ("a", "green"), ("b", "blue"), ("c", "blue"), ("d", "dark"))
        found = evaluate_recognition(toy_embedder(), rows, store)
        correct = 100 * np.array(found.correct)
        assert found.interval == interval(correct, groups=list("aabcd"))
        assert found.interval != interval(correct)

    def test_labels_that_are_the_same_to_the_model_tie(self, store, toy_embedder):
        rows = labelled(("a", "red"), ("a", "a red one"), ("d", "polo"), ("b", "judo"))
        found = evaluate_recognition(toy_embedder(), rows, store, ["red", "red thing", "polo", "judo"])
        assert found.correct == (1 / 2, 0, 1 / 4, 1 / 4)  # a dark and a green video are as far from all four

    def test_a_label_that_cannot_be_chosen_is_wrong(self, store, toy_embedder):
        rows = labelled(("a", "red"), ("b", "green"))
        found = evaluate_recognition(toy_embedder(), rows, store, ["red", "dark"])
        assert (found.correct, found.unknown, found.labels) == ((1, 0), 1, 2)
        assert (found.accuracy, found.chance) == (50, 25)

    @settings(max_examples=10, deadline=None)
    @given(
        videos=st.lists(
            st.lists(st.sampled_from(["red", "green", "blue"]), min_size=1, max_size=3), min_size=1, max_size=4
        ),
        data=st.data(),
    )
    def test_it_agrees_with_all_orders_of_what_ties(self, videos, data, colour_store, toy_embedder):
        names = ["red", "green", "blue", "red green", "dark", "green blue"]
        answers = [data.draw(st.sampled_from(names)) for _ in videos]
        store = colour_store({f"v{i}": " ".join(words) for i, words in enumerate(videos)})
        rows = labelled(*((f"v{i}", answer) for i, answer in enumerate(answers)))
        found = evaluate_recognition(toy_embedder(), rows, store, names)
        expected = []
        for words, answer in zip(videos, answers, strict=True):
            score = {name: _cosine(words, name.split()) for name in names}
            orders = [sorted(order, key=lambda name: -score[name]) for order in permutations(names)]
            expected.append([mean(answer in order[:k] for order in orders) for k in (1, 5)])
        assert found.correct == pytest.approx(tuple(first for first, _ in expected))
        assert found.top5 == pytest.approx(100 * mean(five for _, five in expected))


def _cosine(one, other):
    dot = sum(one.count(word) * other.count(word) for word in set(one))
    norms = [sum(words.count(word) ** 2 for word in set(words)) for words in (one, other)]
    return round(dot / (norms[0] * norms[1]) ** 0.5, 6)


class TestClassifier:
    """Multinomial logistic regression on frozen embeddings."""

    def test_by_hand(self, store, toy_embedder):
        embedder = toy_embedder()
        rows = labelled(("a", "warm"), ("b", "cold"), ("c", "cold"), ("d", "night"))
        videos, index = embed_labelled(embedder, rows, store)
        assert index.tolist() == [0, 1, 2, 3]
        classifier = train_classifier(videos[index], [row.sentence for row in rows])
        found = evaluate_classifier(classifier, embedder, rows, store)
        assert found.correct == (1, 1, 1, 1)
        assert (found.labels, found.unknown, found.chance) == (3, 0, pytest.approx(100 / 3))
        assert not embedder.texts  # what a label means is not asked

    def test_a_label_that_was_not_trained_is_wrong(self, store, toy_embedder):
        classifier = train_classifier(np.eye(5, dtype=np.float32)[[1, 2]], ["warm", "cold"])
        rows = labelled(("a", "warm"), ("b", "cold"), ("b", "green"), ("c", "warm"))
        found = evaluate_classifier(classifier, toy_embedder(), rows, store)
        assert found.correct == (1, 1, 0, 0)
        assert (found.labels, found.unknown) == (2, 1)
        assert found.chance == pytest.approx(100 * (3 * 1 / 2) / 4)

    @pytest.mark.parametrize("labels", [2, 3, 5])
    def test_its_weights_are_those_that_the_objective_has(self, labels):
        """At the minimum of |W|^2 / 2 + C * cross-entropy, which has one, the gradient is zero."""
        random = np.random.default_rng(labels)
        x = random.standard_normal((60, 4)).astype(np.float32)
        x /= np.linalg.norm(x, axis=1, keepdims=True)
        y = (x @ random.standard_normal((4, labels)) + 0.3 * random.standard_normal((60, labels))).argmax(1)
        classifier = train_classifier(x, [f"label {label}" for label in y])
        probability = np.exp(classifier.predict_log_proba(x))
        error = INVERSE_PENALTY * (probability - np.eye(labels)[y]).T
        if labels == 2:  # one row of weights stands for both
            error = error[1:]
        tolerance = 1e-4 * INVERSE_PENALTY * len(x)  # scikit-learn's own, of the mean over the examples
        np.testing.assert_allclose(error @ x, -classifier.coef_, atol=tolerance)
        np.testing.assert_allclose(error.sum(1), 0, atol=tolerance)
        assert np.abs(classifier.coef_).max() > 50 * tolerance

    def test_one_label_is_refused(self):
        with pytest.raises(JsfError, match=r"have the label {'red'}, expected two"):
            train_classifier(np.ones((3, 2), np.float32), ["red", "red", "red"])

    def test_without_scikit_learn_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
        with pytest.raises(JsfError, match=r"'sklearn'(.|\n)*'\.\[analysis\]'"):
            train_classifier(np.ones((2, 2), np.float32), ["red", "blue"])


REFUSED = {
    "no rows": ([], "nothing to evaluate"),
    "no features": (labelled(("a", "red"), ("z", "red")), "no features of 'z'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case, store, toy_embedder):
    rows, message = REFUSED[case]
    with pytest.raises(JsfError, match=message):
        evaluate_recognition(toy_embedder(), rows, store)
    with pytest.raises(JsfError, match=message):
        embed_labelled(toy_embedder(), rows, store)
