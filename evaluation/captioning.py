"""The captioning protocol: what is told of each clip, against what people said of it."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

import numpy as np
import numpy.typing as npt

from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.narrations import narrations
from jsf.data.progress import track
from jsf.data.store import FeatureStore
from jsf.data.tables import Row
from jsf.data.text import tokenize
from jsf.evaluation.inputs import check_inputs
from jsf.evaluation.intervals import interval
from jsf.evaluation.protocols import Described

ORDERS = (1, 2, 3, 4)
"""Longest n-grams of BLEU@1 to BLEU@4."""

EXTRA = "caption"
"""Of jsf: what brings the packages that measure."""

VIDEOS_AT_ONCE = 32
"""Videos whose features are held at a time."""


class Captioner(Described, Protocol):
    """Tells of clips."""

    def caption(self, videos: Sequence[Clips]) -> list[list[str]]:
        """Videos with their clips -> a sentence about each clip."""


@dataclass(frozen=True)
class Captioning:
    """How close sentences are to those of people; all measures in percent, as papers print them.

    Attributes:
        clips: number of clips; references: of sentences of people about them.
        bleu: BLEU@1, 2, 3 and 4 of the whole: not a mean over clips.
        cider: mean of CIDEr-D over the clips, at most 1000.
        cider_interval: its 95% interval; the clips of one video are resampled together.
        meteor: METEOR 1.5 of the whole; None where it was not measured because there is no Java.
        sentences: what was told of each clip, in order.
    """

    clips: int
    references: int
    bleu: tuple[float, ...]
    cider: float
    cider_interval: tuple[float, float]
    meteor: float | None
    sentences: tuple[str, ...]


def evaluate_captioning(captioner: Captioner, rows: Sequence[Row], store: FeatureStore) -> Captioning:
    """Tells of every clip, and measures the sentences; all captions of a clip are right.

    Args:
        captioner: of clips.
        rows: captions of whole videos, or paragraphs with the clips of their sentences.
        store: has the features of the videos.

    Raises:
        JsfError: there are no rows or they do not say which clip a sentence is about, a video has no features, those
            are not of the kind that the model takes, or as `measure_sentences`.
    """
    told = narrations(rows)
    check_inputs(captioner, store, [narration.video_id for narration in told])
    require_metrics()
    sentences: list[str] = []
    starts = range(0, len(told), VIDEOS_AT_ONCE)
    for start in track(starts, "captioning", len(starts)):
        part = told[start : start + VIDEOS_AT_ONCE]
        videos = [Clips.of(store.read(narration.video_id), narration.spans) for narration in part]
        sentences += [sentence for video in captioner.caption(videos) for sentence in video]
    references = [of_clip for narration in told for of_clip in narration.sentences]
    return measure_sentences(sentences, references, [each.video_id for each in told for _ in each.spans])


def measure_sentences(
    sentences: Sequence[str], references: Sequence[Sequence[str]], video_ids: Sequence[str] | None = None
) -> Captioning:
    """BLEU by sacrebleu, CIDEr-D and METEOR 1.5 by pycocoevalcap, over the words that `tokenize` finds.

    Published figures are of words that Stanford's tokenizer finds, without the marks: they differ a little.

    Args:
        sentences: one about each clip.
        references: what people said of each clip, once or more.
        video_ids: whose clips they are; without, each is of its own video.

    Raises:
        JsfError: a package is absent, a sentence has no words, there is one clip only, or Java fails.

    Sources: Papineni 2002; Vedantam 2015; Denkowski and Lavie 2014; the evaluation of COCO captions (Chen 2015).
    """
    require_metrics()
    if len(sentences) < 2:
        raise JsfError(f"CIDEr weighs words by how few clips they tell of; expected two clips, found {len(sentences)}.")
    found = [_words(sentence) for sentence in sentences]
    right = [[_words(reference) for reference in of_clip] for of_clip in references]
    cider = _cider(found, right)
    return Captioning(
        clips=len(found),
        references=sum(map(len, right)),
        bleu=tuple(_bleu(found, right, order) for order in ORDERS),
        cider=float(cider.mean()),
        cider_interval=interval(cider, groups=video_ids),
        meteor=_meteor(found, right) if shutil.which("java") else None,
        sentences=tuple(sentences),
    )


def require_metrics() -> None:
    """Raises JsfError where the packages that measure sentences are absent: before they are told."""
    for module in ("sacrebleu.metrics", "pycocoevalcap.cider.cider"):
        require(module, EXTRA)


def _words(sentence: str) -> str:
    """Its words with blanks between."""
    if not (words := tokenize(sentence)):
        raise JsfError(f"the sentence {sentence!r} has no words.")
    return " ".join(words)


def _bleu(found: list[str], right: list[list[str]], order: int) -> float:
    bleu = require("sacrebleu.metrics", EXTRA).BLEU(
        tokenize="none", smooth_method="none", max_ngram_order=order, force=True
    )
    return float(bleu.corpus_score(found, list(zip_longest(*right))).score)


def _cider(found: list[str], right: list[list[str]]) -> npt.NDArray[np.float64]:
    """Of each clip."""
    _, scores = require("pycocoevalcap.cider.cider", EXTRA).Cider().compute_score(*_by_clip(found, right))
    return 100 * np.asarray(scores)


def _meteor(found: list[str], right: list[list[str]]) -> float:
    scorer = require("pycocoevalcap.meteor.meteor", EXTRA).Meteor()
    try:
        score, _ = scorer.compute_score(*_by_clip(found, right))
    except (OSError, ValueError) as error:
        scorer.lock.release()  # which it holds, and waits for when it is deleted
        raise JsfError(
            "Java ended while it measured METEOR.",
            "It needs 2 GB of memory; without `java` on the PATH, all else is measured.",
        ) from error
    return 100 * float(score)


def _by_clip(found: list[str], right: list[list[str]]) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """As pycocoevalcap takes them: what people said, and what was told."""
    return dict(enumerate(right)), {i: [sentence] for i, sentence in enumerate(found)}
