"""What an embedding model is given of a video or a text: the whole, and the parts that it is made of."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from jsf.data.clips import Clips, equal_spans, stack_clips
from jsf.data.errors import JsfError
from jsf.data.sequence import pad
from jsf.data.vocabulary import Vocabulary

Text: TypeAlias = str | Sequence[str]
"""A sentence, or the sentences of a paragraph."""

Viewed: TypeAlias = npt.NDArray[Any] | Clips
"""A video's features [T, D], or those with its clips."""

MOST = 4096
"""Steps, or places for clips."""

_SENTENCE_ENDS = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Limits:
    """How much a model takes.

    Attributes:
        hierarchical: it takes parts beside the whole.
        frames: steps of a clip, and of a whole video.
        words: of a sentence; text_words: of a whole text.
        clips: of a video, and sentences of a text.
        segments: equal clips that a video is cut into where its clips are not known.
    """

    hierarchical: bool
    frames: int
    words: int
    text_words: int
    clips: int
    segments: int

    def check(self) -> None:
        """Raises JsfError for limits beyond any use: arrays are allocated by them, and files of strangers name them."""
        for name, number in asdict(self).items():
            if number > MOST:
                raise JsfError(f"{name} is {number}, expected at most {MOST:,}.")


class Levels(NamedTuple):
    """A batch of videos or of texts.

    Attributes:
        whole: [B, N, D] float32, or [B, M] int32 ids; lengths: [B] int32.
        parts: [B, K, N, D] float32, or [B, K, M'] int32; part_lengths: [B, K] int32, 0 where there is none; both None
            for a flat model.
    """

    whole: npt.NDArray[Any]
    lengths: npt.NDArray[np.int32]
    parts: npt.NDArray[Any] | None = None
    part_lengths: npt.NDArray[np.int32] | None = None

    @property
    def arrays(self) -> tuple[npt.NDArray[Any], ...]:
        """Those that are there."""
        return tuple(array for array in self if array is not None)


def video_levels(videos: Sequence[Viewed], limits: Limits) -> Levels:
    """Videos as a model takes them; one without clips is cut into equal ones."""
    if not limits.hierarchical:
        return Levels(*pad([video.whole if isinstance(video, Clips) else video for video in videos], limits.frames))
    spans = equal_spans(limits.segments)
    viewed = [video if isinstance(video, Clips) else Clips.of(video, spans) for video in videos]
    parts = stack_clips([video.clips for video in viewed], limits.frames, limits.clips)
    return Levels(*pad([video.whole for video in viewed], limits.frames), *parts)


def text_levels(texts: Sequence[Text], vocabulary: Vocabulary, limits: Limits) -> Levels:
    """Texts as a model takes them; one that is not cut into sentences is cut where `.`, `!` or `?` end one."""
    sentences = [_SENTENCE_ENDS.split(text.strip()) if isinstance(text, str) else list(text) for text in texts]
    whole = vocabulary.encode_batch([" ".join(each) for each in sentences], limits.text_words)
    if not limits.hierarchical:
        return Levels(*whole)
    parts = np.zeros((len(texts), limits.clips, limits.words), np.int32)
    lengths = np.zeros((len(texts), limits.clips), np.int32)
    for row, text in enumerate(sentences):
        words, count = vocabulary.encode_batch(text[: limits.clips], limits.words)
        parts[row, : len(words)], lengths[row, : len(words)] = words, count
    return Levels(*whole, parts, lengths)
