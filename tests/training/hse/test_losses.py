"""The losses of HSE against their formulas, written as plain loops."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsf.training.hse.losses import cosines, matching, set_scores

RANDOM = np.random.default_rng(0)


def cosine(a, b):
    return float(a @ b / math.sqrt((a @ a) * (b @ b)))


def hinges(scores, wrong):
    """The hinge of each wrong pair, as (of row i, of column j, its value)."""
    for i, j in np.ndindex(*scores.shape):
        if wrong[i, j]:
            yield ("row", i), max(0, 0.2 + scores[i, j] - scores[i, i])
            yield ("column", j), max(0, 0.2 + scores[i, j] - scores[j, j])


def by_loops(scores, wrong, hardest, average):
    worst = {}
    total = 0.0
    for place, value in hinges(scores, wrong):
        total += value
        worst[place] = max(worst.get(place, 0), value)
    loss = sum(worst.values()) if hardest else total
    return loss / len(scores) ** 2 if average else loss


@st.composite
def scored(draw):
    """Scores of a batch, and which are wrong: never the true ones."""
    size = draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**16)))
    wrong = (random.random((size, size)) < draw(st.floats(0, 1))) & ~np.eye(size, dtype=bool)
    return random.uniform(-1, 1, (size, size)), wrong


@given(scored(), st.booleans(), st.booleans())
def test_matching(given_, hardest, average):
    scores, wrong = given_
    found = matching(torch.from_numpy(scores), torch.from_numpy(wrong), hardest, average)
    assert float(found) == pytest.approx(by_loops(scores, wrong, hardest, average), abs=1e-9)


def test_matching_by_hand():
    scores, wrong = torch.tensor([[0.5, 0.4, 0.9], [0.0, 0.7, 0.6], [0.1, 0.2, 0.8]]), ~torch.eye(3, dtype=torch.bool)
    rows = 0.1 + 0.6 + 0.1  # s01 and s02 against 0.5, s12 against 0.7
    columns = 0.3  # s02 against 0.8
    assert float(matching(scores, wrong)) == pytest.approx(rows + columns)
    assert float(matching(scores, wrong, average=True)) == pytest.approx((rows + columns) / 9)
    assert float(matching(scores, wrong, hardest=True)) == pytest.approx(0.6 + 0.1 + 0.3)


def test_a_batch_without_a_wrong_pair_costs_nothing():
    scores = torch.ones(3, 3, requires_grad=True)
    for hardest in (False, True):
        loss = matching(scores, torch.zeros(3, 3, dtype=torch.bool), hardest)
        loss.backward()
        assert loss.item() == 0 and not scores.grad.any()


def test_texts_past_the_last_video_are_wrong_for_videos_alone():
    """Each text with an exchanged word is a wrong one of its video; it has no video of its own."""
    scores = torch.from_numpy(RANDOM.uniform(-1, 1, (3, 6)))
    wrong = torch.ones(3, 6, dtype=torch.bool)
    wrong[:, :3].fill_diagonal_(False)
    expected = by_loops(scores[:, :3].numpy(), wrong[:, :3].numpy(), False, False)
    expected += sum(max(0, 0.2 + float(scores[i, j] - scores[i, i])) for i in range(3) for j in range(3, 6))
    assert float(matching(scores, wrong)) == pytest.approx(expected, abs=1e-9)


def test_cosines():
    a, b = RANDOM.standard_normal((3, 5)), RANDOM.standard_normal((4, 5)) * 7
    expected = [[cosine(x, y) for y in b] for x in a]
    np.testing.assert_allclose(cosines(torch.from_numpy(a), torch.from_numpy(b)), expected, atol=1e-12)


@given(
    clips=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    sentences=st.lists(st.integers(1, 3), min_size=4, max_size=4),
    seed=st.integers(0, 2**16),
)
def test_set_scores(clips, sentences, seed):
    """The mean over clips of the best sentence's cosine, and the other way around, and of the two."""
    random, sentences = np.random.default_rng(seed), sentences[: len(clips)]
    of_video, of_text = ([random.standard_normal((n, 5)) for n in counts] for counts in (clips, sentences))
    owners = [torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)) for counts in (clips, sentences)]
    stacked = [torch.from_numpy(np.concatenate(parts)) for parts in (of_video, of_text)]
    found = set_scores(stacked[0], owners[0], stacked[1], owners[1])
    assert found.shape == (len(clips), len(sentences))
    for i, j in np.ndindex(*found.shape):
        best_sentence = [max(cosine(clip, sentence) for sentence in of_text[j]) for clip in of_video[i]]
        best_clip = [max(cosine(clip, sentence) for clip in of_video[i]) for sentence in of_text[j]]
        assert float(found[i, j]) == pytest.approx((np.mean(best_sentence) + np.mean(best_clip)) / 2, abs=1e-9)


def test_the_order_of_clips_does_not_matter_to_set_scores():
    clips, sentences = torch.randn(5, 4), torch.randn(3, 4)
    clip_of, sentence_of = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1])
    order = torch.tensor([1, 0, 4, 2, 3])
    torch.testing.assert_close(
        set_scores(clips[order], clip_of, sentences, sentence_of), set_scores(clips, clip_of, sentences, sentence_of)
    )
