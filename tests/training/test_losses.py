"""Each loss equals its definition, term by term."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsf.training.losses import choice_loss, contrastive_loss, distillation_loss, ranking_loss

MARGINS = st.sampled_from([0.2, 1.0, 10.0])


@st.composite
def batches(draw):
    """Scores [V, S] and where they are wrong: V videos, their sentences, and up to four that describe none."""
    videos, others = draw(st.integers(1, 5)), draw(st.integers(0, 4))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    scores = torch.randn(videos, videos + others, generator=generator, dtype=torch.float64)
    wrong = torch.rand(scores.shape, generator=generator) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    return scores, wrong.fill_diagonal_(False)


def mean(terms):
    return sum(terms) / len(terms) if terms else 0.0


def cells(wrong):
    return [(v, s) for v in range(wrong.shape[0]) for s in range(wrong.shape[1]) if wrong[v, s]]


def of_a_video(scores, wrong, margin):
    return [max(0.0, margin + scores[v][s] - scores[v][v]) for v, s in cells(wrong)]


def of_a_sentence(scores, wrong, margin):
    return [max(0.0, margin + scores[v][s] - scores[s][s]) for v, s in cells(wrong) if s < len(scores)]


def surprise(true, others):
    return math.log(sum(math.exp(score) for score in (true, *others))) - true


@given(batches(), MARGINS, st.booleans())
def test_the_ranking_loss_is_the_mean_hinge_of_every_wrong_pair(batch, margin, both_directions):
    scores, wrong = batch
    terms = of_a_sentence(scores.tolist(), wrong, margin)
    if both_directions:
        terms += of_a_video(scores.tolist(), wrong, margin)
    assert ranking_loss(scores, wrong, margin, both_directions).item() == pytest.approx(mean(terms), rel=1e-12)


@given(batches(), MARGINS)
def test_the_choice_loss_is_the_mean_hinge_of_every_wrong_candidate(batch, margin):
    scores, wrong = batch
    assert choice_loss(scores, wrong, margin).item() == pytest.approx(
        mean(of_a_video(scores.tolist(), wrong, margin)), rel=1e-12
    )


@given(batches())
def test_the_contrastive_loss_is_the_cross_entropy_both_ways(batch):
    values, wrong = batch
    scores, size = values.tolist(), len(values)
    by_video = [surprise(scores[v][v], [scores[i][s] for i, s in cells(wrong) if i == v]) for v in range(size)]
    by_sentence = [surprise(scores[s][s], [scores[v][i] for v, i in cells(wrong) if i == s]) for s in range(size)]
    expected = (mean(by_video) + mean(by_sentence)) / 2
    assert contrastive_loss(values, wrong).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def divergence(scores, teacher):
    """Of the distribution that some logits give from the one that a teacher's give."""
    found, wanted = ([math.exp(value) / sum(map(math.exp, logits)) for value in logits] for logits in (scores, teacher))
    return sum(w * math.log(w / f) for f, w in zip(found, wanted, strict=True))


@given(batches(), st.integers(0, 2**31))
def test_the_distillation_loss_is_the_divergence_from_the_teacher_both_ways(batch, seed):
    scores, wrong = batch
    teacher = torch.randn(scores.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    kept = wrong | torch.eye(*wrong.shape).bool()
    described = range(len(scores))
    by_video = [divergence(scores[v, kept[v]].tolist(), teacher[v, kept[v]].tolist()) for v in described]
    by_sentence = [divergence(scores[kept[:, s], s].tolist(), teacher[kept[:, s], s].tolist()) for s in described]
    expected = mean(by_video) + mean(by_sentence)
    assert distillation_loss(scores, teacher, wrong).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


LOSSES = {
    "ranking": lambda scores, wrong: ranking_loss(scores, wrong, 10.0),
    "choice": lambda scores, wrong: choice_loss(scores, wrong, 10.0),
    "contrastive": contrastive_loss,
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@given(batch=batches())
def test_a_gradient_reaches_the_wrong_pairs_and_the_true_ones_they_meet_alone(loss, batch):
    scores, wrong = batch
    scores.requires_grad_()
    loss(scores, wrong).backward()
    true = torch.eye(*scores.shape, dtype=torch.bool)
    assert (scores.grad[wrong] > 0).all()
    assert not scores.grad[~wrong & ~true].any()
    met = wrong.any(1)  # a sentence is met by the wrong videos too, but for a question of candidates
    if loss is not LOSSES["choice"]:
        met = met | wrong[:, : len(wrong)].any(0)
    assert (scores.grad.diagonal()[met] < 0).all()
    assert not scores.grad.diagonal()[~met].any()


def test_the_two_directions_differ():
    scores = torch.tensor([[2.0, 5.0], [0.0, 2.0]])  # video 0 takes sentence 1 from video 1
    wrong = ~torch.eye(2).bool()
    assert ranking_loss(scores, wrong, 1.0, both_directions=False) == (0 + 4) / 2
    assert ranking_loss(scores.T, wrong, 1.0, both_directions=False) == (4 + 0) / 2
    assert ranking_loss(scores, wrong, 1.0) == (0 + 4 + 4 + 0) / 4


def test_one_direction_does_not_see_sentences_that_describe_none():
    scores = torch.tensor([[2.0, 0.0, 9.0], [0.0, 2.0, 9.0]], requires_grad=True)
    wrong = ~torch.eye(2, 3).bool()
    ranking_loss(scores, wrong, 3.0, both_directions=False).backward()
    assert not scores.grad[:, 2].any()
    assert ranking_loss(scores, wrong, 3.0) > ranking_loss(scores, wrong, 3.0, both_directions=False) == 1


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_batch_without_a_wrong_pair_has_no_loss_and_still_a_gradient(loss):
    scores = torch.randn(3, 5, requires_grad=True)
    value = loss(scores, torch.zeros(3, 5).bool())
    value.backward()
    assert value == 0
    assert not scores.grad.any()
