"""The training and validation steps of JSFusion, as Lightning runs them."""

import math
from typing import Any

import torch
from lightning import LightningModule

from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.retrieval import Retrieval, evaluate_retrieval
from jsf.models.jsfusion import JSFusion
from jsf.training.batches import Batch, Captions
from jsf.training.losses import ranking_loss
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer

WARM_UP = 0.05
"""Share of the steps over which an annealed learning rate rises to its maximum."""


class RetrievalModule(LightningModule):
    """Trains on all pairs of a batch; validates by ranking the whole validation split.

    Args:
        model: the network.
        recipe: how to train it.
        vocabulary: the words of its embedding matrix.
        val: the validation split.
        seed: of the dropout, set anew each step, so that a resumed run draws what an uninterrupted one does.
    """

    def __init__(
        self,
        model: JSFusion,
        recipe: Recipe,
        vocabulary: Vocabulary,
        val: Captions,
        seed: int,
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.vocabulary = model, recipe, vocabulary
        self.val, self.seed = val, seed

    def on_train_epoch_start(self) -> None:
        """Makes the epoch's shuffle a function of (seed, epoch), and this process's share of it."""
        batches = self.trainer.train_dataloader.dataset  # type: ignore[union-attr]
        batches.epoch, batches.rank = self.current_epoch, self.global_rank

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes the step's dropout a function of (seed, step, process): a resumed epoch draws in another order."""
        torch.manual_seed(self.seed * 1_000_003 + self.global_step * 1009 + self.global_rank)

    def training_step(self, batch: Batch) -> torch.Tensor:
        """The ranking loss over all pairs of a batch."""
        size = len(batch.word_lengths)
        videos, sentences = torch.cartesian_prod(torch.arange(size), torch.arange(size)).to(self.device).T
        scores = self.model(
            batch.features, batch.frame_lengths, batch.words, batch.word_lengths, videos, sentences
        ).view(size, size)
        loss = ranking_loss(scores.float(), batch.same_video, self.recipe.margin, self.recipe.both_directions)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=size)
        return loss

    def validation_step(self, batch: Any) -> None:
        """Ranks the validation split once, in FP32 as `jsf evaluate` does; the loader only says when."""
        with torch.autocast(self.device.type, enabled=False):
            result = evaluate_retrieval(CheckpointScorer(self.model, self.vocabulary), self.val.table, self.val.store)
        self.log_dict(metrics(result), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Adam, with lambda of equation 6 as the decay of the weights (its gradient is 2 lambda theta).

        Word vectors, shifts and biases do not decay: Adam would erase the vectors of words that a batch lacks.
        """
        weights = [p for name, p in self.named_parameters() if p.ndim > 1 and "embedding" not in name]
        others = [p for name, p in self.named_parameters() if p.ndim == 1 or "embedding" in name]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": 2 * self.recipe.l2}, {"params": others}]
        optimizer = torch.optim.Adam(groups, lr=self.recipe.learning_rate)
        if not self.recipe.anneal:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_then_cosine(step, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warm_up_then_cosine(step: int, steps: int) -> float:
    """The share of the learning rate at a step: rises over the first 5%, then falls to zero along a cosine."""
    warm = max(1.0, WARM_UP * steps)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps))))


def metrics(result: Retrieval) -> dict[str, float]:
    """What is logged each epoch; `score`, the sum of the recalls at 1, 5 and 10 both ways, chooses the best."""
    both = {"t2v": result.text_to_video, "v2t": result.video_to_text}
    named = {f"{way}_R@{k}": r.recall[k] for way, r in both.items() for k in (1, 5, 10) if k in r.recall}
    medians = {f"{way}_MedR": ranking.median_rank for way, ranking in both.items()}
    return {**named, **medians, "score": sum(named.values())}
