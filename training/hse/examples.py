"""What an embedding is trained on: videos with texts about them, their clips and their sentences."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.captions import Caption
from jsf.data.clips import WHOLE, Clips
from jsf.data.errors import JsfError
from jsf.data.levels import Levels, Limits, Viewed, text_levels, video_levels
from jsf.data.paragraphs import Paragraph, check_clips
from jsf.data.sequence import sample_steps
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.inputs import distinct
from jsf.training.batches import Rows
from jsf.training.features import KeptFeatures
from jsf.training.hard_captions import beside_neighbours, exchange
from jsf.training.hse.cropped import cropped
from jsf.training.hse.recipe import HSERecipe


class HSEBatch(NamedTuple):
    """B videos with the texts about them; texts past the B-th belong to none.

    Attributes:
        videos: whole [B, N, D], lengths [B]; in HSE clips [B, K, N, D] and their lengths [B, K].
        texts: words [S, M], lengths [S]; in HSE sentences [S, K', M'] and their lengths [S, K'].
        wrong: [B, S] bool, where a text is about another video.
        paired: [B] bool, where clip k is what sentence k tells of.
        clip_ids: [C], of all clips in order, equal for the same span of the same video.
    """

    videos: tuple[Tensor, ...]
    texts: tuple[Tensor, ...]
    wrong: Tensor
    paired: Tensor
    clip_ids: Tensor


class HSEExamples:
    """The rows of a split, captions or paragraphs, as an embedding's training examples.

    Raises:
        JsfError: rows are of another kind, or a hierarchical model is to learn from captions without clips.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, limits: Limits, recipe: HSERecipe) -> None:
        self.rows = as_paragraphs(split.rows, limits.hierarchical)
        self.limits, self.recipe = limits, recipe
        check_clips(self.rows, limits)
        self.video_ids = np.array([row.video_id for row in self.rows])
        self.texts = text_levels([row.sentences for row in self.rows], vocabulary, limits)
        self._features = KeptFeatures(split.store)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.rows)

    def order(self, shuffled: Rows) -> Rows:
        """Lets each text be followed by its neighbours, as many as the recipe says."""
        if not self.recipe.neighbours:
            return shuffled
        texts, count = self.texts, self.recipe.neighbours
        return beside_neighbours(shuffled, texts.whole, texts.lengths, self.video_ids, count)

    def stack(self, rows: Rows, random: np.random.Generator) -> HSEBatch:
        """B videos and texts, then each text with a word exchanged, as often as the recipe says."""
        chosen, ids = [self.rows[row] for row in rows], self.video_ids[rows]
        videos = video_levels([self._video(row, random) for row in chosen], self.limits)
        texts = Levels(*(array[rows] for array in self.texts.arrays))
        wrong = ~(np.equal.outer(ids, ids) | (texts.whole[:, None] == texts.whole).all(2))
        exchanged = [
            exchange(texts.whole, texts.lengths, self.texts.whole, random) for _ in range(self.recipe.exchanges)
        ]
        if exchanged:
            wrong = np.hstack([wrong, *(~_true(copy, texts.whole, ids) for copy in exchanged)])
            count = 1 + len(exchanged)
            texts = Levels(np.vstack([texts.whole, *exchanged]), np.tile(texts.lengths, count))
        paired = np.array([row.paired for row in chosen])
        spans = [(row.video_id, *span) for row in chosen for span in row.spans[: self.limits.clips]]
        _, clip_ids = distinct(spans)
        of_pairs = (torch.from_numpy(array) for array in (wrong, paired, clip_ids))
        return HSEBatch(cropped(videos), cropped(texts), *of_pairs)

    def _video(self, row: Paragraph, random: np.random.Generator) -> Viewed:
        """A row's video with its clips; of what is longer than the model takes other steps each time."""
        features = self._features.read(row.video_id)
        video = Clips.of(features, row.spans, row.seen)
        if not self.recipe.jitter:
            return video
        draw = [each[sample_steps(len(each), self.limits.frames, random)] for each in (video.whole, *video.clips)]
        return Clips(draw[0], draw[1:])


def _true(copies: npt.NDArray[np.int32], texts: npt.NDArray[np.int32], ids: npt.NDArray[np.str_]) -> npt.NDArray[Any]:
    """[B, B] bool: where copy i of the texts with a word exchanged is another row's text, or is left unchanged."""
    same_text = (texts[:, None] == copies).all(2)
    unchanged = np.equal.outer(ids, ids) & (copies == texts).all(1)
    found: npt.NDArray[Any] = same_text | unchanged
    return found


def as_paragraphs(rows: Sequence[Any], hierarchical: bool) -> list[Paragraph]:
    """Captions as paragraphs of one sentence, and paragraphs as they are.

    Raises:
        JsfError: as `HSEExamples`.
    """
    if unknown := {type(row).__name__.lower() for row in rows if not isinstance(row, (Caption, Paragraph))}:
        raise JsfError(
            f"the table holds {', '.join(sorted(unknown))}s; an embedding is trained on captions or paragraphs.",
            "Name a table with the columns video_id,sentence, or paragraphs.json.",
        )
    if hierarchical and any(isinstance(row, Caption) for row in rows):
        raise JsfError(
            "HSE is trained on paragraphs with the clips of their sentences; the table holds single captions.",
            "Train the flat model: --model fse; or name paragraphs.json with --captions.",
        )
    return [row if isinstance(row, Paragraph) else Paragraph(row.video_id, (row.sentence,), (WHOLE,)) for row in rows]
