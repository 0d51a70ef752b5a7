"""Paragraphs: the sentences about a video, and the clips of it that they are about."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jsf.data.clips import WHOLE, Span, equal_spans
from jsf.data.errors import JsfError
from jsf.data.levels import Limits
from jsf.data.spans import FORM, Fitting, read_spans, read_videos, short

Part = TypeVar("Part")


@dataclass(frozen=True)
class Paragraph:
    """The sentences about a video, and its clips.

    Attributes:
        video_id: the key of the video's features.
        sentences: at least one.
        spans: (start, end) of each clip as shares of the video's length, at least one.
        paired: `spans[i]` shows what `sentences[i]` tells: ground truth, as many spans as sentences.
        seen: what there is of the video: less of an incomplete one.
    """

    video_id: str
    sentences: tuple[str, ...]
    spans: tuple[Span, ...]
    paired: bool = True
    seen: Span = WHOLE

    @property
    def sentence(self) -> str:
        """The paragraph as one text."""
        return " ".join(self.sentences)


class Fields(NamedTuple):
    """What a file calls a video's length, the spans in the same unit, and their sentences."""

    length: str
    spans: str
    sentences: str


ACTIVITYNET = Fields("duration", "timestamps", "sentences")


def read_paragraphs(path: Path, fields: Fields = ACTIVITYNET) -> list[Paragraph]:
    """Reads ActivityNet's JSON: `{id: {"duration": 9.5, "timestamps": [[0, 4], ...], "sentences": ["...", ...]}}`.

    A span that reaches past its video is cut there. One with nothing inside the video, or that ends before it starts,
    is left out together with its sentence, and so is a paragraph that has no other. One logged warning says how many
    were; the command line shows it.

    Raises:
        JsfError: the file is missing or not such JSON, a length is not positive, a number is not finite, a sentence is
            empty, or a video has none or not as many as spans; the message names the file and the id.
    """
    fitting, paragraphs, videos = Fitting(path), [], read_videos(path)
    for place, video_id, value in videos:
        spans = read_spans(place, value, fields.length, fields.spans)
        sentences = _read_sentences(place, value, fields.sentences)
        if len(spans) != len(sentences):
            raise JsfError(f"{place} has {len(spans)} '{fields.spans}' and {len(sentences)} '{fields.sentences}'.")
        fitted = [(text, clip) for text, span in zip(sentences, spans, strict=True) if (clip := fitting.fit(span))]
        if fitted:
            texts, clips = zip(*fitted, strict=True)
            paragraphs.append(Paragraph(video_id, texts, clips))
    if not paragraphs:
        raise JsfError(f"{path}: no span lies in its video.", f"'{fields.spans}' are in the unit of '{fields.length}'.")
    fitting.report(emptied=len(videos) - len(paragraphs))
    return paragraphs


def _read_sentences(place: str, value: dict[str, Any], name: str) -> list[str]:
    """The sentences of a video, with single spaces."""
    sentences = value.get(name)
    if not isinstance(sentences, list) or not sentences:
        raise JsfError(f"{place}: '{name}' is {short(sentences)}, expected a list of sentences.", FORM)
    for sentence in sentences:
        if not isinstance(sentence, str) or not sentence.strip():
            raise JsfError(f"{place}: '{name}' holds {short(sentence)}, expected a sentence.")
    return [" ".join(sentence.split()) for sentence in sentences]


def uniform(paragraph: Paragraph, count: int) -> Paragraph:
    """The paragraph with `count` equal parts of the video as its clips."""
    return replace(paragraph, spans=equal_spans(count), paired=False)


def with_proposals(paragraphs: Sequence[Paragraph], path: Path) -> list[Paragraph]:
    """The paragraphs with the clips that a file proposes: `{id: {"duration": 9.5, "timestamps": [[0, 4], ...]}}`.

    They are put in order of time, because proposals often come in order of confidence. Spans that do not fit into their
    video are cut or left out, and reported, as in `read_paragraphs`.

    Raises:
        JsfError: the file is missing or damaged, or proposes no clip within the video for one of the paragraphs.
    """
    fitting, wanted = Fitting(path), {paragraph.video_id for paragraph in paragraphs}
    clips: dict[str, tuple[Span, ...]] = {}
    for place, video_id, value in read_videos(path):
        if video_id in wanted:
            spans = read_spans(place, value, ACTIVITYNET.length, ACTIVITYNET.spans)
            clips[video_id] = tuple(sorted(clip for span in spans if (clip := fitting.fit(span))))
    if missing := [video_id for video_id in sorted(wanted) if not clips.get(video_id)]:
        raise JsfError(
            f"{path} proposes no clip within the video for {len(missing):,} of {len(wanted):,}, first '{missing[0]}'.",
            "Add one or more for each video, or take equal parts of it: uniform-4",
        )
    fitting.report()
    return [replace(paragraph, spans=clips[paragraph.video_id], paired=False) for paragraph in paragraphs]


def observed(paragraph: Paragraph, share: float) -> Paragraph:
    """The first `share` of the sentences and of the clips, to the nearest whole number and at least one of each."""
    sentences, spans = _first(paragraph.sentences, share), _first(paragraph.spans, share)
    seen = paragraph.seen if spans == paragraph.spans else (0.0, max(end for _, end in spans))
    return replace(paragraph, sentences=sentences, spans=spans, seen=seen)


def _first(parts: tuple[Part, ...], share: float) -> tuple[Part, ...]:
    return parts[: max(1, round(share * len(parts)))]


def check_clips(paragraphs: Sequence[Paragraph], limits: Limits) -> None:
    """Refuses proposals of which a model would not see all, and says of how many paragraphs it does not.

    Raises:
        JsfError: a hierarchical model takes fewer clips than are proposed.
    """
    more = [paragraph for paragraph in paragraphs if len(paragraph.spans) > limits.clips]
    if not (limits.hierarchical and more):
        return
    if proposed := [paragraph for paragraph in more if not paragraph.paired]:
        raise JsfError(
            f"'{proposed[0].video_id}' has {len(proposed[0].spans)} clips; this model takes {limits.clips}.",
            f"Propose at most {limits.clips} a video, or train with --set clips={len(proposed[0].spans)}",
        )
    logging.getLogger(__name__).warning(
        "%s of %s videos have more than %s clips: of those the first are seen",
        *(f"{number:,}" for number in (len(more), len(paragraphs), limits.clips)),
    )
