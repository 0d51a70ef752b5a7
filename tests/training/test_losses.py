import pytest
import torch

from jsf.training.losses import ranking_loss

VIDEOS = torch.tensor([0, 1, 0, 2, 3])
SAME_VIDEO = VIDEOS[:, None] == VIDEOS[None, :]  # captions 0 and 2 describe one video


def by_hand(scores, margin, both_directions):
    terms = []
    for true in range(len(VIDEOS)):
        for wrong in range(len(VIDEOS)):
            if VIDEOS[true] != VIDEOS[wrong]:
                terms.append(max(0.0, margin + scores[wrong][true] - scores[true][true]))
                if both_directions:
                    terms.append(max(0.0, margin + scores[true][wrong] - scores[true][true]))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("both_directions", [False, True])
@pytest.mark.parametrize("margin", [0.2, 1.0, 10.0])
def test_it_equals_a_double_loop(margin, both_directions):
    scores = torch.randn(5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = by_hand(scores.tolist(), margin, both_directions)
    assert ranking_loss(scores, SAME_VIDEO, margin, both_directions).item() == pytest.approx(expected, rel=1e-12)


def test_the_two_directions_differ():
    scores = torch.tensor([[2.0, 5.0], [0.0, 2.0]])  # video 0 takes sentence 1 from video 1
    wrong = torch.eye(2).bool()
    videos_of_a_sentence = ranking_loss(scores, wrong, 1.0, both_directions=False)
    assert videos_of_a_sentence == (0 + 4) / 2
    assert ranking_loss(scores.T, wrong, 1.0, both_directions=False) == (4 + 0) / 2
    assert ranking_loss(scores, wrong, 1.0) == (0 + 4 + 4 + 0) / 4


@pytest.mark.parametrize("both_directions", [False, True])
def test_another_caption_of_the_same_video_is_never_wrong(both_directions):
    scores = torch.zeros(5, 5, requires_grad=True)
    ranking_loss(scores, SAME_VIDEO, 1.0, both_directions).backward()
    assert scores.grad[0, 2] == scores.grad[2, 0] == 0
    assert (scores.grad[~SAME_VIDEO] > 0).all()
    assert (scores.grad.diagonal() < 0).all()


def test_a_batch_of_one_video_has_no_loss_and_still_a_gradient():
    scores = torch.randn(3, 3, requires_grad=True)
    loss = ranking_loss(scores, torch.ones(3, 3).bool(), 10.0)
    loss.backward()
    assert loss == 0
    assert not scores.grad.any()
