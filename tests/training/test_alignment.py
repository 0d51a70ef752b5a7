import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from jsf.training.alignment import LOWEST, SOFTNESS, TEMPERATURE, Alignment


@st.composite
def encodings(draw):
    """Videos [V, N, J], their lengths, sentences [S, M, J], their lengths, and whether padding is on the left."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    v, s, n, m, j = (draw(st.integers(1, most)) for most in (3, 4, 6, 5, 3))
    videos, sentences = rng.standard_normal((v, n, j)), rng.standard_normal((s, m, j))
    return videos, rng.integers(1, n + 1, v), sentences, rng.integers(1, m + 1, s), draw(st.booleans())


def align(videos, frame_lengths, sentences, word_lengths, left):
    numbers = (videos.astype(np.float32), frame_lengths, sentences.astype(np.float32), word_lengths)
    with torch.no_grad():
        return Alignment()(*map(torch.from_numpy, numbers), left).numpy()


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def by_hand(video, sentence):
    """One video and one sentence, without padding."""
    found = []
    for word in sentence:
        cosines = np.array([cosine(frame, word) for frame in video])
        weights = np.exp(SOFTNESS * cosines)
        found.append((weights * cosines).sum() / weights.sum())
    return np.mean(found) / TEMPERATURE


@given(encodings())
def test_it_equals_a_loop_over_words_and_frames(batch):
    videos, frame_lengths, sentences, word_lengths, left = batch
    expected = [
        [
            by_hand(video[-n:] if left else video[:n], sentence[:m])
            for sentence, m in zip(sentences, word_lengths, strict=True)
        ]
        for video, n in zip(videos, frame_lengths, strict=True)
    ]
    np.testing.assert_allclose(align(*batch), expected, rtol=1e-4, atol=1e-4)


@given(encodings())
def test_padding_never_counts(batch):
    videos, frame_lengths, sentences, word_lengths, left = batch
    expected = align(*batch)
    steps = np.arange(videos.shape[1])
    steps = steps[::-1] if left else steps
    videos[steps >= frame_lengths[:, None]] = 1e3
    sentences[np.arange(sentences.shape[1]) >= word_lengths[:, None]] = 0
    np.testing.assert_allclose(align(videos, frame_lengths, sentences, word_lengths, left), expected, atol=1e-6)


def test_the_order_of_frames_and_of_words_changes_nothing():
    rng = np.random.default_rng(0)
    videos, sentences = rng.standard_normal((2, 7, 4)), rng.standard_normal((3, 5, 4))
    lengths = np.full(2, 7), np.full(3, 5)
    expected = align(videos, lengths[0], sentences, lengths[1], False)
    moved = align(videos[:, rng.permutation(7)], lengths[0], sentences[:, rng.permutation(5)], lengths[1], False)
    np.testing.assert_allclose(moved, expected, rtol=1e-5)
    assert np.ptp(expected) > 0.1


def test_the_temperature_is_learnt_down_to_its_least():
    alignment = Alignment()
    encoded = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    lengths = torch.full((2,), 3)
    logits = alignment(encoded, lengths, encoded, lengths)
    logits.sum().backward()
    assert alignment.sharpness.grad
    with torch.no_grad():
        alignment.sharpness.fill_(100.0)
        torch.testing.assert_close(
            alignment(encoded, lengths, encoded, lengths), logits * TEMPERATURE / LOWEST, rtol=1e-5, atol=1e-4
        )


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_autocast_takes_no_precision_from_it(kind):
    generator = torch.Generator().manual_seed(0)
    encoded, lengths = torch.randn(4, 9, 16, generator=generator), torch.full((4,), 9)
    expected = Alignment()(encoded, lengths, encoded, lengths)
    with torch.autocast("cpu", kind):
        found = Alignment()(encoded, lengths, encoded, lengths)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
