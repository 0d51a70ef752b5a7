import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from jsf.calibration.accuracy import Scored
from jsf.calibration.gate import ENOUGH, Limits, compare, spearman
from jsf.data.errors import JsfError


def scored(scores, answers=False):
    """Query q is right with option q, or of questions with option 0."""
    scores = np.asarray(scores, np.float32)
    queries, options = scores.shape
    right = np.arange(options) == (np.zeros((queries, 1)) if answers else np.arange(queries)[:, None])
    return Scored(scores, right, np.arange(queries), answers)


def searches(queries=ENOUGH, seed=0):
    scores = np.random.default_rng(seed).standard_normal((queries, queries))
    return scores + 4 * np.eye(queries)


def test_equal_scores_pass_and_lose_nothing():
    fp32 = scored(searches())
    found = compare(fp32, fp32)
    assert (found.drop, found.score_error_max) == (0, 0)
    assert found.rank_correlation == pytest.approx(1)
    assert list(found.metrics) == ["R@1", "R@5", "R@10", "MedR"]
    assert Limits().failures(found) == []


def test_each_limit_is_held_and_named_with_both_numbers():
    before = searches()
    noise = np.random.default_rng(1).standard_normal(before.shape)
    failures = Limits().failures(compare(scored(before), scored(before + noise)))
    assert [failure.split(" ")[0] for failure in failures] == ["R@1", "the", "the"]
    assert "allowed are 0.5 (--max-drop)" in failures[0]
    assert "wanted is 0.99 (--min-correlation)" in failures[1]
    assert "allowed are 1% (--max-error)" in failures[2]
    assert Limits(100, -1, 100).failures(compare(scored(before), scored(before + noise))) == []


def test_the_drop_is_in_points_and_its_interval_holds_it():
    before = searches()
    after = before.copy()
    after[:20, 0] = after[:20].max(1) + 1  # twenty queries now find the first video, one of them rightly
    found = compare(scored(before), scored(after))
    change = found.metrics["R@1"]
    was_right = (before.argmax(1) == np.arange(ENOUGH))[1:20].sum()
    assert found.drop == pytest.approx(100 * was_right / ENOUGH)
    assert change.interval[0] <= -found.drop <= change.interval[1] < 0


def test_few_queries_do_not_decide_on_recall():
    before = searches(40)
    after = before.copy()
    after[0, 1] = 99.0
    limits = Limits(min_correlation=0.9, max_error=5)
    assert compare(scored(before), scored(after)).drop == 2.5
    assert limits.failures(compare(scored(before), scored(after))) == []


def test_questions_are_measured_by_their_accuracy_and_may_have_different_options():
    fp32 = scored([[3, 1, -np.inf], [1, 2, 0], [5, 4, 3]], answers=True)
    found = compare(fp32, scored([[3, 1, -np.inf], [1, 2, 0], [4, 5, 3]], answers=True))
    assert found.metrics["accuracy"].fp32 == pytest.approx(200 / 3)
    assert found.drop == pytest.approx(100 / 3)
    assert found.score_error_max == 1
    assert found.score_error_mean == pytest.approx(2 / 8)


def test_a_part_of_a_search_looks_among_its_own_videos_only():
    fp32 = scored([[1, 2, 0], [0, 1, 2], [0, 0, 1]])
    part = fp32.part(np.array([True, False, True]))
    assert part.scores.tolist() == [[1, 0], [0, 1]]
    assert part.metrics()["R@1"].tolist() == [100, 100]
    questions = scored([[1, 2, 0], [2, 1, 0]], answers=True).part(np.array([False, True]))
    assert questions.scores.tolist() == [[2, 1, 0]]


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(JsfError, match="not finite in reduced precision"):
        compare(scored(searches(9)), scored(searches(9) * np.nan))


@given(st.lists(st.integers(-5, 5), min_size=2, max_size=30), st.randoms())
def test_the_rank_correlation_is_that_of_the_textbook(values, random):
    other = random.sample(values, len(values))
    if len(set(values)) == 1:
        assert spearman(np.array(values), np.array(other)) == 1
    else:
        assert spearman(np.array(values), np.array(other)) == pytest.approx(spearmanr(values, other).statistic)


def test_scores_that_became_one_do_not_correlate():
    assert spearman(np.arange(5.0), np.zeros(5)) == 0


def test_scores_that_are_all_the_same_hide_no_error():
    fp32 = scored(np.full((3, 3), 2.0))
    assert Limits().failures(compare(fp32, fp32)) == []
    failures = Limits().failures(compare(fp32, scored(np.full((3, 3), 9.0))))
    assert failures == ["the mean score error is inf% of the range, allowed are 1% (--max-error)"]


def test_scores_that_are_not_finite_in_fp32_are_not_laid_to_fp16():
    broken = searches(9)
    broken[1, 2] = np.nan
    with pytest.raises(JsfError, match="the FP32 scores are not finite"):
        compare(scored(broken), scored(searches(9)))


@pytest.mark.parametrize("limit", ["max_drop", "min_correlation", "max_error"])
def test_a_limit_that_is_no_number_is_refused(limit):
    with pytest.raises(JsfError, match=f"--{limit.replace('_', '-')} is nan, expected a number"):
        Limits(**{limit: float("nan")})


def test_a_question_whose_answers_tie_counts_as_in_evaluation():
    fp32 = scored([[1, 1, 0], [2, 1, 0]], answers=True)
    assert fp32.metrics()["accuracy"].tolist() == [50, 100]
