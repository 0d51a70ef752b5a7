"""The held-out clips searched with sentences."""

from dataclasses import dataclass, replace
from pathlib import Path

from jsf.data.store import open_features
from jsf.demo.scenes import TEMPLATES, Clip
from jsf.evaluation.protocols import MatrixScorer


@dataclass(frozen=True)
class Hit:
    """A clip that a search found; `right` where it is the one that the sentence describes."""

    clip: str
    score: float
    caption: str
    right: bool


def search(scorer: MatrixScorer, clips: list[Clip], features: Path) -> dict[str, list[Hit]]:
    """The best three clips for each of three sentences, which describe clips in other words than their captions do."""
    store = open_features(features)
    wanted = [clips[i * len(clips) // 3] for i in range(3)]
    sentences = [_paraphrase(clip) for clip in wanted]
    scores = scorer.score_matrix([store.read(clip.name) for clip in clips], sentences)
    return {
        sentence: [
            Hit(clips[row].name, float(column[row]), clips[row].captions()[0], clips[row] == clip)
            for row in (-column).argsort()[:3]
        ]
        for sentence, clip, column in zip(sentences, wanted, scores.T, strict=True)
    }


def _paraphrase(clip: Clip) -> str:
    return replace(clip, templates=((clip.templates[0] + 1) % len(TEMPLATES),)).captions()[0]
