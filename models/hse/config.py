"""What an embedding model is made of, and the configurations that have a name."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from jsf.data.errors import JsfError
from jsf.data.levels import Limits
from jsf.models.config import check_choices

Pool = Literal["max", "last", "attention"]

STEPS = ("frames", "words", "text_words", "clips", "segments")
WIDTHS = ("feature_width", "vocabulary_size", "word_width", "hidden")


@dataclass(frozen=True)
class HSEConfig:
    """An HSE or an FSE; the defaults are the authors'.

    Attributes:
        preset: the name that this configuration goes by.
        feature_width: D of a frame's features.
        vocabulary_size: rows of the embedding matrix, padding included.
        hierarchical: HSE, with clips and sentences; else FSE, which sees one sequence of frames and one of words.
        frames: steps of a clip, and of a whole video, at most (80 in the authors' code).
        words: of a sentence, at most; text_words: of a whole paragraph, at most.
        clips: of a video, and sentences of a paragraph, at most; the first ones are kept.
        segments: equal clips that a video is cut into where its clips are not known.
        word_width: width of a word vector.
        hidden: width of the states, and of the embedding.
        pool: what becomes of a GRU's states: their maximum, the last one, or a weighted mean.
        bidirectional: half of the units read backwards.
        feature_dropout, embedding_dropout, output_dropout: drop rates of the frames, the word vectors, and the pooled
            states of the lower level.
        whole_dropout: a number is dropped at all steps of a sequence or at none.
    """

    preset: str
    feature_width: int
    vocabulary_size: int
    hierarchical: bool = True

    frames: int = 80
    words: int = 40
    text_words: int = 160
    clips: int = 10
    segments: int = 4

    word_width: int = 300
    hidden: int = 1024
    pool: Pool = "max"
    bidirectional: bool = False

    feature_dropout: float = 0.0
    embedding_dropout: float = 0.0
    output_dropout: float = 0.0
    whole_dropout: bool = False

    @property
    def limits(self) -> Limits:
        """How much the model takes of a video and of a text."""
        return Limits(self.hierarchical, self.frames, self.words, self.text_words, self.clips, self.segments)

    @property
    def task(self) -> str:
        """What the model is for."""
        return "embedding"

    @property
    def model(self) -> str:
        """Its name."""
        return "hse" if self.hierarchical else "fse"

    def __post_init__(self) -> None:
        """Raises JsfError where the pool is none of those there are, or a size is none."""
        check_choices(self)
        for name in (*STEPS, *WIDTHS):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise JsfError(f"{name} is {getattr(self, name)!r}, expected a whole number, 1 or more.")
        self.limits.check()
        for name in ("feature_dropout", "embedding_dropout", "output_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise JsfError(f"{name} is {getattr(self, name)}, expected 0 or more and below 1.")
        if self.output_dropout > 0.5:
            raise JsfError(f"output_dropout is {self.output_dropout}, expected at most 0.5.")  # states stay in [-2, 2]
        if self.segments > self.clips:
            raise JsfError(f"videos are cut into {self.segments} segments, and at most {self.clips} clips are kept.")
        if self.bidirectional and self.hidden % 2:
            raise JsfError(f"hidden is {self.hidden}, expected an even number: half of the units read backwards.")


PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "small": {
        "frames": 40,
        "text_words": 80,
        "clips": 8,
        "hidden": 512,
        "feature_dropout": 0.2,
        "embedding_dropout": 0.3,
        "whole_dropout": True,
    },
}
"""Preset -> what differs from `HSEConfig`."""


def preset(name: str, model: str, feature_width: int, vocabulary_size: int) -> HSEConfig:
    """The configuration of a model.

    Args:
        name: "paper" or "small".
        model: "hse" or "fse".
        feature_width: D of the features.
        vocabulary_size: words, padding included.

    Raises:
        JsfError: there is no such preset.
    """
    if name not in PRESETS:
        raise JsfError(f"there is no preset '{name}' of {model}, expected one of: {', '.join(PRESETS)}.")
    return replace(HSEConfig(name, feature_width, vocabulary_size, model == "hse"), **PRESETS[name])
