"""A clip as pixels and samples, drawn with numpy: no two clips of the same scenes are alike."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from jsf.demo.scenes import Scene

WIDTH, HEIGHT = 160, 120
FPS = 15
SAMPLE_RATE = 16_000
SCENE_SECONDS = (0.8, 1.4)
"""The shortest and the longest scene."""

COLOURS = {
    "red": (215, 35, 35),
    "green": (40, 165, 60),
    "blue": (40, 75, 220),
    "yellow": (235, 210, 40),
    "purple": (150, 50, 175),
}


def draw(
    scenes: Sequence[Scene], durations: Sequence[int], rng: np.random.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    """Frames [HEIGHT, WIDTH, 3], RGB; scene i lasts `durations[i]` of them."""
    grain = rng.normal(0, 6, (HEIGHT, WIDTH, 1))
    slope = rng.uniform(-25, 25, 2)
    y, x = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    background = rng.uniform(90, 170) + (slope[0] * y + slope[1] * x)[..., None] + grain
    for scene, count in zip(scenes, durations, strict=True):
        yield from _scene(scene, count, background, rng)


def sound(kind: str, samples: int, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """A sound [samples] in -1..1 at `SAMPLE_RATE`, its pitch, rate and loudness drawn afresh."""
    time = np.arange(samples) / SAMPLE_RATE
    pitch = rng.uniform(0.9, 1.1)
    if kind == "bell":
        decay = np.exp(-4 * (time % rng.uniform(0.35, 0.5)))
        wave = decay * _partials(900 * pitch, (1.0, 2.76, 5.4), time)
    elif kind == "motor":
        wave = _partials(90 * pitch, (1.0, 2.0, 3.0, 4.0, 5.0), time)
    elif kind == "siren":
        sweep = 1500 * pitch * time - 60 * np.cos(2 * np.pi * rng.uniform(2, 3) * time)
        wave = np.sin(2 * np.pi * sweep)
    else:
        wave = rng.normal(0, 0.4, samples)
    hiss = rng.normal(0, 0.003, samples)
    return np.asarray(wave / np.abs(wave).max() * rng.uniform(0.3, 0.8) + hiss, np.float32)


def _partials(pitch: float, ratios: tuple[float, ...], time: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ratio = np.array(ratios)[:, None]
    tones: npt.NDArray[np.float64] = (np.sin(2 * np.pi * pitch * ratio * time) / ratio).sum(0)
    return tones


def _scene(
    scene: Scene, count: int, background: npt.NDArray[np.float64], rng: np.random.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    """One shape that drifts across the background."""
    radius = rng.uniform(36, 46)
    centre = np.array([HEIGHT, WIDTH]) / 2 + rng.uniform(-8, 8, 2)
    velocity = rng.uniform(-0.4, 0.4, 2)
    colour = np.array(COLOURS[scene.colour]) * rng.uniform(0.88, 1.08) + rng.normal(0, 6, 3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for i in range(count):
        row, column = centre + velocity * i
        inside = _coverage(scene.shape, (y - row) / radius, (x - column) / radius, 1 / radius)[..., None]
        yield np.clip(background * (1 - inside) + colour * inside, 0, 255).astype(np.uint8)


def _coverage(
    shape: str, y: npt.NDArray[np.float32], x: npt.NDArray[np.float32], edge: float
) -> npt.NDArray[np.float32]:
    """How much of each pixel the unit shape covers, 0..1: its signed distance, blurred over one pixel."""
    if shape == "circle":
        distance = np.hypot(x, y) - 1
    elif shape == "square":
        distance = np.maximum(abs(x), abs(y)) - 0.88
    elif shape == "triangle":
        distance = np.maximum(0.87 * abs(x) - 0.5 * (y + 1), y - 0.75)
    else:
        arm = 0.32
        distance = np.minimum(np.maximum(abs(x) - arm, abs(y) - 1), np.maximum(abs(y) - arm, abs(x) - 1))
    return np.clip(0.5 - distance / edge, 0, 1)
