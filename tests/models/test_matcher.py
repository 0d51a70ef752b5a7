"""The matcher's algebra: lengths, crops and lists of pairs."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jsf.data.lengths import STRIDES, crop_length, needed_steps
from jsf.models.chd import shrink
from jsf.models.layers import valid_steps
from jsf.models.matcher import mean_frame

LENGTH = st.integers(1, 40)


@pytest.fixture(scope="module")
def matcher(tiny_model):
    return copy.deepcopy(tiny_model.matcher).double()


def encoded(seed, lengths, left=False, width=8):
    """Encoded sequences [B, 40, J] as the encoders leave them: within (-1, 1), zero where padded."""
    x = torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (len(lengths), 40, width)))
    return x * valid_steps(torch.tensor(lengths), 40, left)[..., None]


@pytest.mark.parametrize(
    ("steps", "left"), [*((n, False) for n in range(7, 41)), *((n, True) for n in range(8, 41, 2))]
)
def test_shrink_follows_the_length_formula_for_all_lengths_and_sizes(steps, left):
    """With padding on the left the number of steps is even, as 40 is."""
    lengths = torch.arange(1, steps + 1)
    valid, size = valid_steps(lengths, steps, left), steps
    for stride in STRIDES:
        valid = shrink(valid, stride, left)
        size = (size - 3) // stride + 1  # of a width-3 convolution without padding
        lengths = torch.tensor([max(1, n - 2) if stride == 1 else max(1, (n - 1) // 2) for n in lengths.tolist()])
        assert valid.tolist() == valid_steps(lengths, size, left).tolist()


def test_forty_steps_shrink_to_38_36_and_17():
    valid = torch.ones(1, 40, dtype=torch.bool)
    sizes = [(valid := shrink(valid, stride)).shape[1] for stride in STRIDES]
    assert sizes == [38, 36, 17]


def run(matcher, videos, frames, sentences, words):
    """Scores of the pairs (i, i), and the sum of squares' gradients where the matcher is in training mode."""
    index = torch.arange(len(frames))
    scores = matcher(videos, torch.tensor(frames), sentences, torch.tensor(words), index, index)
    if not matcher.training:
        return scores.detach(), []
    return scores.detach(), list(torch.autograd.grad(scores.square().sum(), list(matcher.parameters())))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.tuples(LENGTH, LENGTH), min_size=2, max_size=5), data=st.data(), seed=st.integers(0, 99))
def test_a_crop_changes_nothing(matcher, training, lengths, data, seed):
    """Not the scores and, in training, neither the running statistics nor the gradients."""
    frames, words = zip(*lengths, strict=True)
    n = data.draw(st.integers(crop_length(np.array(frames)), 40), "frames kept")
    m = data.draw(st.integers(crop_length(np.array(words)), 40), "words kept")
    videos, sentences = encoded(seed, frames), encoded(seed + 100, words)
    whole, cropped = (copy.deepcopy(matcher).train(training) for _ in range(2))
    scores, gradients = run(whole, videos, frames, sentences, words)
    cropped_scores, cropped_gradients = run(cropped, videos[:, :n], frames, sentences[:, :m], words)
    torch.testing.assert_close(cropped_scores, scores, rtol=0, atol=1e-12)
    torch.testing.assert_close(cropped.state_dict(), whole.state_dict(), rtol=0, atol=1e-12)
    torch.testing.assert_close(cropped_gradients, gradients, rtol=1e-9, atol=1e-9)
    assert len(gradients) == (len(list(matcher.parameters())) if training else 0)


@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank"])
@settings(max_examples=40, deadline=None)
@given(lengths=st.lists(st.tuples(LENGTH, LENGTH), min_size=1, max_size=5), data=st.data(), seed=st.integers(0, 99))
def test_an_even_crop_changes_nothing_where_padding_is_on_the_left(tiny_variant, task, lengths, data, seed):
    matcher = copy.deepcopy(tiny_variant("official", task).model.matcher).double()
    frames, words = zip(*lengths, strict=True)
    n = data.draw(st.sampled_from(range(crop_length(np.array(frames), even=True), 41, 2)), "frames kept")
    m = data.draw(st.integers(crop_length(np.array(words)), 40), "words kept")
    videos, sentences = encoded(seed, frames, left=True), encoded(seed + 100, words)
    blanks = None
    if matcher.fills_blanks:
        blanks = torch.tensor([data.draw(st.integers(0, count - 1), "blank") for count in words])
    index, *sizes = torch.arange(len(frames)), torch.tensor(frames), torch.tensor(words)
    with torch.no_grad():
        whole = matcher(videos, sizes[0], sentences, sizes[1], index, index, blanks)
        cropped = matcher(videos[:, 40 - n :], sizes[0], sentences[:, :m], sizes[1], index, index, blanks)
    torch.testing.assert_close(cropped, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("preset", ["paper", "official"])
@pytest.mark.parametrize("task", ["retrieval", "multiple-choice", "fill-in-the-blank", "fill-in-the-blank, video_skip"])
@settings(max_examples=60, deadline=None)
@given(lengths=st.lists(st.tuples(LENGTH, LENGTH), min_size=1, max_size=5), data=st.data(), seed=st.integers(0, 99))
def test_the_needed_steps_give_the_score_of_forty(tiny_variant, preset, task, lengths, data, seed):
    """Of a single pair, and of a batch; a blank is needed itself."""
    task, skip = task.split(",")[0], "video_skip" in task
    matcher = copy.deepcopy(tiny_variant(preset, task, video_skip=skip).model.matcher).double()
    left = matcher.left_padded
    frames, words = (np.array(steps) for steps in zip(*lengths, strict=True))
    m, n = needed_steps(words).max(), needed_steps(frames, left).max()
    videos, sentences = encoded(seed, frames.tolist(), left), encoded(seed + 100, words.tolist())
    blanks = None
    if matcher.fills_blanks:
        blanks = torch.tensor([data.draw(st.integers(0, count - 1), "blank") for count in words.tolist()])
        m = max(m, int(blanks.max()) + 1)
    index, *sizes = torch.arange(len(frames)), torch.tensor(frames), torch.tensor(words)
    with torch.no_grad():
        whole = matcher(videos, sizes[0], sentences, sizes[1], index, index, blanks)
        kept = videos[:, 40 - n :] if left else videos[:, :n]
        cropped = matcher(kept, sizes[0], sentences[:, :m], sizes[1], index, index, blanks)
    torch.testing.assert_close(cropped, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("left", "length", "counted"), [(False, 9, 9), (False, 8, 7), (False, 2, 1), (True, 8, 8)])
def test_the_mean_frame_is_of_the_frames_that_are_read(left, length, counted):
    videos, frames = encoded(0, [length], left), valid_steps(torch.tensor([length]), 40, left)
    torch.testing.assert_close(mean_frame(videos, frames, left), videos[frames][:counted].mean(0, keepdim=True))


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("length", [8, 9, 24, 39])
def test_one_step_less_than_needed_does_change_the_score(tiny_variant, left, length):
    """And two less on the left, where their number must be even."""
    matcher = copy.deepcopy(tiny_variant("official" if left else "paper", "retrieval").model.matcher).double()
    steps = int(needed_steps(np.array([length]), left)[0]) - (2 if left else 1)
    if steps < 7:
        return
    videos, sentences = encoded(0, [length], left), encoded(1, [9])
    whole, _ = run(matcher, videos, [length], sentences, [9])
    cropped, _ = run(matcher, videos[:, 40 - steps :] if left else videos[:, :steps], [length], sentences, [9])
    assert (whole - cropped).abs() > 1e-9


def test_an_odd_crop_on_the_left_does_change_the_score(tiny_variant):
    """A stride of 2 has a phase."""
    matcher = copy.deepcopy(tiny_variant("official", "retrieval").model.matcher).double()
    videos, sentences = encoded(0, [21], left=True), encoded(1, [9])
    whole, _ = run(matcher, videos, [21], sentences, [9])
    cropped, _ = run(matcher, videos[:, 40 - 23 :], [21], sentences, [9])
    assert (whole - cropped).abs() > 1e-6


def test_a_crop_below_a_valid_length_does_change_the_score(matcher):
    videos, sentences = encoded(0, [21]), encoded(1, [9])
    whole, _ = run(matcher, videos, [21], sentences, [9])
    cropped, _ = run(matcher, videos[:, :20], [21], sentences, [9])
    assert (whole - cropped).abs() > 1e-6


@pytest.fixture(scope="module")
def gallery(matcher):
    """Encoded videos and sentences with their lengths, and the matrix of all their scores."""
    frames, words = [40, 1, 13, 27], [5, 40, 1]
    sides = encoded(2, frames), torch.tensor(frames), encoded(3, words), torch.tensor(words)
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(3)).T
    with torch.no_grad():
        return sides, matcher(*sides, *pairs).view(4, 3)


@settings(max_examples=40, deadline=None)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12))
def test_any_list_of_pairs_gives_the_entries_of_the_matrix(matcher, gallery, pairs):
    sides, matrix = gallery
    videos, sentences = torch.tensor(pairs).T
    with torch.no_grad():
        scores = matcher(*sides, videos, sentences)
    assert matrix.unique().numel() == matrix.numel()
    torch.testing.assert_close(scores, matrix[videos, sentences], rtol=0, atol=1e-12)
