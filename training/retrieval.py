"""Retrieval: captions with their videos; a batch's videos are scored with its captions."""

import numpy as np
import torch
from torch import Tensor

from jsf.data.datasets.tasks import as_captions
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.models.config import JSFusionConfig
from jsf.training.batches import Rows
from jsf.training.examples import Batch, Examples, Pairs, matrix, tensors
from jsf.training.hard_captions import beside_neighbours, exchange
from jsf.training.losses import contrastive_loss, ranking_loss
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer


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
        exchanged = [exchange(words, lengths, self.words, random) for _ in range(self.recipe.exchanges)]
        same = np.equal.outer(ids, ids)
        describes = np.hstack([same, *(np.diag((copy == words).all(1)) for copy in exchanged)])
        words, lengths = np.vstack([words, *exchanged]), np.tile(lengths, 1 + len(exchanged))
        return Batch(*self.videos(ids, random), *tensors(words, lengths, describes))

    def order(self, shuffled: Rows) -> Rows:
        """Lets each caption be followed by its neighbours, as many as the recipe says."""
        if not self.recipe.neighbours:
            return shuffled
        return beside_neighbours(shuffled, self.words, self.word_lengths, self.video_ids, self.recipe.neighbours)

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
