import math
import tracemalloc

import numpy as np
import pytest

from jsf.data.sequence import sample_steps
from jsf.extraction.audio import LogMel

RATE = 16_000


def tone(frequency: float, seconds: float) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def noise(samples: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)


def plain_log_mel(sound: np.ndarray, column: int) -> list[float]:
    """One column by the textbook: a plain Fourier sum and one triangle at a time."""
    taper = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]
    piece = np.array([taper[n] * float(sound[160 * column + n]) for n in range(400)])
    wave = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    magnitudes = np.abs(wave @ piece)

    def mel(hertz):
        return 2595 * math.log10(1 + hertz / 700)

    width = (mel(7500) - mel(125)) / 65
    bands = []
    for band in range(64):
        centre = mel(125) + (band + 1) * width
        weights = [max(0.0, 1 - abs(mel(k * RATE / 512) - centre) / width) for k in range(257)]
        bands.append(math.log(0.01 + float(np.dot(weights, magnitudes))) - math.log(0.01))
    return bands


def test_the_spectrum_equals_an_independent_one():
    sound = noise(4000)
    spectrum = LogMel().spectrum(sound)
    assert spectrum.shape == (23, 64)
    for column in (0, 11, 22):
        assert spectrum[column] == pytest.approx(plain_log_mel(sound, column), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("length", [1, 333, 1024, 160 * 1024, 10**6])
def test_a_sound_in_pieces_of_any_length_is_heard_without_a_seam(length):
    sound = noise(160 * 3000 + 77)
    spectrum = LogMel().spectrum(sound)
    assert len(spectrum) == 1 + (len(sound) - 400) // 160
    start, times = 0.3, np.array([0.0, 5.0, 9.9, 10.4, 30.0, 50.0])
    centres = start + 0.0125 + 0.01 * np.arange(len(spectrum))
    heard = LogMel().features((sound[i : i + length] for i in range(0, len(sound), length)), start, times)
    for row, time in zip(heard, times, strict=True):
        near = spectrum[np.abs(centres[:, None] - times).argmin(axis=1) == times.tolist().index(time)]
        expected = np.concatenate([near.mean(0), near.std(0)]) if len(near) else np.zeros(128)
        np.testing.assert_allclose(row, expected, rtol=1e-5, atol=1e-6)


def test_silence_no_sound_and_too_short_a_sound_are_zeros():
    times = np.array([0.0, 0.2, 0.4])
    for sound in (np.zeros(RATE, np.float32), np.zeros(0, np.float32), tone(440, 0.02)):
        statistics = LogMel().features([sound], 0.0, times)
        assert statistics.shape == (3, 128)
        assert statistics.dtype == np.float32
        assert not statistics.any()


def test_each_moment_of_sound_belongs_to_the_nearest_frame():
    silence = np.zeros(RATE // 5, np.float32)
    sound = np.concatenate([silence, silence, tone(1000, 0.2), silence, silence])
    heard = LogMel().features([sound], 0.0, np.array([0.1, 0.3, 0.5, 0.7, 0.9]))[:, :64].max(axis=1)
    assert heard[2] > 5
    assert heard[[0, 4]].tolist() == [0, 0]
    # A window is 25 ms long: two of the twenty columns beside the tone still hear its edge.
    assert heard[[1, 3]].max() < 0.2 * heard[2]


def test_statistics_are_the_mean_and_the_standard_deviation_of_the_columns():
    sound = noise(RATE)
    spectrum = LogMel().spectrum(sound)
    statistics = LogMel().features([sound], 0.0, np.array([0.0]))
    np.testing.assert_allclose(statistics[0], np.concatenate([spectrum.mean(0), spectrum.std(0)]), rtol=1e-5)


@pytest.mark.parametrize("frames", [41, 79, 103, 900])
def test_of_many_frames_the_40_that_a_model_takes_hear_what_they_hear_alone(frames):
    sound, times = noise(20 * RATE) * np.linspace(0, 1, 20 * RATE, dtype=np.float32), np.arange(frames) * 20 / frames
    taken = sample_steps(frames)
    alone = LogMel().features([sound], 0.1, times[taken])
    heard = LogMel().features([sound], 0.1, times)
    assert heard.shape == (frames, 128)
    np.testing.assert_array_equal(heard[taken], alone)
    distance = np.abs(times[:, None] - times[taken])
    first, second = np.sort(distance, axis=1)[:, :2].T
    clear = first < second - 1e-9  # not halfway between two
    np.testing.assert_array_equal(heard[clear], alone[distance.argmin(axis=1)[clear]])


def test_a_late_sound_is_heard_late():
    statistics = LogMel().features([tone(1000, 0.2)], 0.8, np.array([0.1, 0.3, 0.5, 0.7, 0.9]))
    assert [bool(row.any()) for row in statistics] == [False, False, False, False, True]


def test_a_tone_is_loudest_in_its_own_band():
    mean = LogMel().features([tone(1000, 0.5)], 0.0, np.array([0.0]))[0, :64]
    edges = np.linspace(1127 * math.log1p(125 / 700), 1127 * math.log1p(7500 / 700), 66)
    assert abs(edges[1 + mean.argmax()] - 1127 * math.log1p(1000 / 700)) < edges[1] - edges[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hop": 0.0},
        {"hop": 1e-5},
        {"rate": 0},
        {"rate": 10**9},
        {"window": 2.0},
        {"bands": 0},
        {"bands": 10**9},
        {"high": 9000.0},
    ],
)
def test_settings_that_no_sound_has_are_refused(wrong):
    with pytest.raises(ValueError, match="no sound has these settings"):
        LogMel(**wrong)


def test_a_long_sound_takes_no_more_memory():
    piece = noise(RATE)

    def peak(seconds):
        tracemalloc.start()
        LogMel().features((piece for _ in range(seconds)), 0.0, np.arange(40) * seconds / 40)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(120) < 1.1 * peak(30)
