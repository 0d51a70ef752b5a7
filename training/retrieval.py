"""Retrieval: captions with their videos; a batch's videos are scored with its captions."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from jsf.data.datasets.tasks import as_captions
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.models.config import JSFusionConfig
from jsf.training.examples import Batch, Examples, Pairs, Rows, matrix, tensors
from jsf.training.losses import contrastive_loss, ranking_loss
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer

POOL = 2048
"""Among how many captions a neighbour is looked for: enough to find close ones, few enough for large sets."""


class RetrievalExamples(Examples):
    """Captions, each with its video."""

    def __init__(self, split: Split, vocabulary: Vocabulary, config: JSFusionConfig, recipe: Recipe) -> None:
        super().__init__(split, vocabulary, config, recipe)
        self.table = as_captions(split.rows, "the table")
        self.video_ids = np.array([caption.video_id for caption in self.table])
        self.words, self.word_lengths = vocabulary.encode_batch([caption.sentence for caption in self.table])

    def __len__(self) -> int:
        """The number of captions."""
        return len(self.table)

    def stack(self, rows: Rows, random: np.random.Generator) -> Batch:
        """B captions with their videos, then each caption with a word exchanged, as often as the recipe says."""
        ids, words, lengths = self.video_ids[rows], self.words[rows], self.word_lengths[rows]
        exchanged = [self._exchange(words, lengths, random) for _ in range(self.recipe.exchanges)]
        same = np.equal.outer(ids, ids)
        describes = np.hstack([same, *(np.diag((copy == words).all(1)) for copy in exchanged)])
        words, lengths = np.vstack([words, *exchanged]), np.tile(lengths, 1 + len(exchanged))
        return Batch(*self.videos(ids, random), *tensors(words, lengths, describes))

    def _exchange(
        self, words: npt.NDArray[np.int32], lengths: npt.NDArray[np.int32], random: np.random.Generator
    ) -> npt.NDArray[np.int32]:
        """Each caption with one word replaced by the one at the same place in another caption of the split.

        Where all captions have the same word there, it stays.
        """
        words = words.copy()
        places = (random.random(len(words)) * lengths).astype(np.intp)
        for row, place in zip(words, places, strict=True):
            others = self.words[random.integers(len(self.words), size=POOL), place]
            others = others[(others != 0) & (others != row[place])]
            if len(others):
                row[place] = others[0]
        return words

    def order(self, shuffled: Rows) -> Rows:
        """Lets each caption be followed by those of other videos that share most words with it.

        Captions of the same words in another order, or with one word changed, then meet in one batch.
        """
        if not self.recipe.neighbours:
            return shuffled
        result: list[Rows] = []
        known = np.zeros(len(self.vocabulary), np.bool_)
        waiting, rest = shuffled[: 1 + POOL], shuffled[1 + POOL :]
        while len(waiting):
            anchor, pool = waiting[0], waiting[1:]
            words = self.words[anchor, : self.word_lengths[anchor]]
            known[words] = True
            shared = known[self.words[pool]].sum(1) / np.sqrt(self.word_lengths[pool])
            known[words] = False
            shared[self.video_ids[pool] == self.video_ids[anchor]] = -1.0
            nearest = np.argsort(-shared, kind="stable")[: self.recipe.neighbours]
            result += [waiting[:1], pool[nearest]]
            left = np.delete(waiting, np.append(nearest + 1, 0))
            taken = 1 + len(nearest)
            waiting, rest = np.concatenate([left, rest[:taken]]), rest[taken:]
        return np.concatenate(result)

    def pairs(self, batch: Batch, alignment: Tensor | None) -> Pairs:
        """All pairs of videos and captions or, where the recipe mines, the true ones and the hardest of each side.

        A caption with a word exchanged is matched with the video of that caption alone.
        """
        size, sentences = batch.describes.shape
        chosen = torch.ones_like(batch.describes[:, :size])
        if alignment is not None and self.recipe.mined:
            hard = alignment[:, :size].masked_fill(batch.describes[:, :size], -torch.inf)
            count = min(self.recipe.mined, size - 1)
            chosen = torch.zeros_like(chosen)
            chosen = chosen.scatter(1, hard.topk(count, 1).indices, True).scatter(0, hard.topk(count, 0).indices, True)
            chosen = (chosen & ~batch.describes[:, :size]).fill_diagonal_(True)
        exchanged = torch.eye(size, dtype=torch.bool, device=chosen.device).repeat(1, sentences // size - 1)
        videos, captions = torch.cat([chosen, exchanged], 1).nonzero(as_tuple=True)
        return videos, captions

    def loss(self, scores: Tensor, pairs: Pairs, batch: Batch) -> Tensor:
        """The ranking loss or, where the recipe says so, the contrastive one, over the scored pairs."""
        values, wrong = matrix(scores, pairs, batch)
        if self.recipe.contrastive:
            return contrastive_loss(values, wrong)
        return ranking_loss(values, wrong, self.recipe.margin, self.recipe.both_directions)

    def validate(self, scorer: CheckpointScorer) -> dict[str, float]:
        """Ranks the whole split; `score` is the sum of the recalls at 1, 5 and 10 both ways."""
        return metrics(evaluate_retrieval(scorer, self.table, self.store))


def metrics(result: Retrieval) -> dict[str, float]:
    """What is logged each epoch."""
    both = {"t2v": result.text_to_video, "v2t": result.video_to_text}
    named = {f"{way}_R@{k}": r.recall[k] for way, r in both.items() for k in (1, 5, 10) if k in r.recall}
    medians = {f"{way}_MedR": ranking.median_rank for way, ranking in both.items()}
    return {**named, **medians, "score": sum(named.values())}
