"""What the demo's clips show: two scenes in sequence and a sound, the sentences that say so, and sentences that do not.

Every pair of scenes occurs in both orders and with two sounds, so neither can be guessed from the rest. A pair of
scenes belongs to one split alone: the held-out clips combine known words in ways that training never saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

COLOURS = ("red", "green", "blue", "yellow", "purple")
SHAPES = ("circle", "square", "triangle", "cross")
SOUNDS = ("bell", "motor", "siren", "storm")
TEMPLATES = (
    "{first} then {second} while a {sound} sounds",
    "first {first} and then {second} as a {sound} sounds",
    "a {sound} sounds while {first} turns into {second}",
    "{second} after {first} while a {sound} sounds",
)
SPLITS = {"train": 75, "val": 10, "test": 25}
"""Split -> pairs of scenes; four clips each."""

CAPTIONS = {"train": 2, "val": 1, "test": 1}
"""Split -> captions per clip."""


@dataclass(frozen=True)
class Scene:
    """A shape of one colour."""

    colour: str
    shape: str

    def __str__(self) -> str:
        """As a caption names it: "a red circle"."""
        return f"a {self.colour} {self.shape}"


@dataclass(frozen=True)
class Clip:
    """One scene, then another, and a sound.

    Attributes:
        name: the file's name without its suffix, and the key of its features: "test-0007".
        scenes: they differ in colour and in shape.
        sound: one of `SOUNDS`.
        templates: indices into `TEMPLATES`, one per caption.
    """

    name: str
    scenes: tuple[Scene, Scene]
    sound: str
    templates: tuple[int, ...]

    def captions(self) -> list[str]:
        """The sentences that describe the clip, one per template."""
        first, second = self.scenes
        return [TEMPLATES[i].format(first=first, second=second, sound=self.sound) for i in self.templates]


def generate(seed: int) -> dict[str, list[Clip]]:
    """The clips of each split; the same seed gives the same clips."""
    rng = np.random.default_rng(seed)
    scenes = [Scene(colour, shape) for colour, shape in product(COLOURS, SHAPES)]
    pairs = [(a, b) for a, b in combinations(scenes, 2) if a.colour != b.colour and a.shape != b.shape]
    rng.shuffle(pairs)
    ends = np.cumsum(list(SPLITS.values()))
    return {
        split: _clips(split, pairs[end - count : end], rng)
        for (split, count), end in zip(SPLITS.items(), ends, strict=True)
    }


def hard_negatives(clip: Clip, rng: np.random.Generator) -> dict[str, str]:
    """Sentences one step away from the clip's first caption, and false.

    Returns:
        "order": the scenes in the other order, the same words; "attribute": the colour or shape of one scene changed;
        "sound": another sound.
    """
    changed = {
        "order": replace(clip, scenes=clip.scenes[::-1]),
        "attribute": replace(clip, scenes=_change_attribute(clip.scenes, rng)),
        "sound": replace(clip, sound=_other(SOUNDS, [clip.sound], rng)),
    }
    return {kind: other.captions()[0] for kind, other in changed.items()}


def _clips(split: str, pairs: Sequence[tuple[Scene, Scene]], rng: np.random.Generator) -> list[Clip]:
    clips: list[Clip] = []
    for pair in pairs:
        sounds = rng.choice(SOUNDS, 2, replace=False)
        for order, sound in product((1, -1), sounds):
            templates = rng.choice(len(TEMPLATES), CAPTIONS[split], replace=False)
            first, second = pair[::order]
            clips.append(Clip(f"{split}-{len(clips):04}", (first, second), str(sound), tuple(map(int, templates))))
    return clips


def _change_attribute(scenes: tuple[Scene, Scene], rng: np.random.Generator) -> tuple[Scene, Scene]:
    changed = list(scenes)
    i = rng.integers(2)
    if rng.integers(2):
        changed[i] = replace(scenes[i], colour=_other(COLOURS, [scene.colour for scene in scenes], rng))
    else:
        changed[i] = replace(scenes[i], shape=_other(SHAPES, [scene.shape for scene in scenes], rng))
    return changed[0], changed[1]


def _other(values: Sequence[str], taken: Sequence[str], rng: np.random.Generator) -> str:
    return str(rng.choice([value for value in values if value not in taken]))
