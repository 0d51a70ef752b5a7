"""What Lightning runs, whatever the model: reproducible steps, validations in time, and the optimizer."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning import LightningModule

from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Model
from jsf.training.recipe import CommonRecipe

WARM_UP = 0.05
"""Share of the steps over which an annealed learning rate rises to its maximum."""


class TrainingLoop(LightningModule, ABC):
    """Trains a model and validates it as `jsf evaluate` does.

    Args:
        model: the network.
        recipe: how to train it.
        vocabulary: the words of its embedding matrix.
        seed: of the dropout, set anew each step, so that a resumed run draws what an uninterrupted one does.

    Attributes:
        validated: the last epoch that was.
    """

    recipe: CommonRecipe

    def __init__(self, model: Model, recipe: CommonRecipe, vocabulary: Vocabulary, seed: int) -> None:
        super().__init__()
        self.model, self.recipe, self.vocabulary, self.seed = model, recipe, vocabulary, seed
        self.validated = -1

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """The metrics of the validation split; `score` chooses the epoch."""

    def ready(self, epochs: int) -> bool:
        """Whether there is something to validate after so many epochs."""
        return True

    def decayed(self, step: int) -> float:
        """The share of the learning rate at a step, where the recipe does not anneal it."""
        return 1.0

    def on_train_epoch_start(self) -> None:
        """Makes the epoch's shuffle a function of (seed, epoch), and this process's share of it."""
        batches = self.trainer.train_dataloader.dataset  # type: ignore[union-attr]
        batches.epoch, batches.rank = self.current_epoch, self.global_rank

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Makes the step's dropout a function of (seed, step, process): a resumed epoch draws in another order."""
        torch.manual_seed(self.seed * 1_000_003 + self.global_step * 1009 + self.global_rank)

    def validation_step(self, batch: Any) -> None:
        """Evaluates the validation split once, in FP32 as `jsf evaluate` does; the loader only says when.

        Epochs between two validations are left out; the last one never is.
        """
        epochs, recipe = self.current_epoch + 1, self.recipe
        if not self.ready(epochs) or (epochs % recipe.validate_every and epochs < recipe.epochs):
            return
        self.validated = self.current_epoch
        with torch.autocast(self.device.type, enabled=False):
            self.log_dict(self.validate(), prog_bar=True, batch_size=1)

    def configure_optimizers(self) -> Any:
        """Adam, with lambda of equations 6 and 7 as the decay of the weights (its gradient is 2 lambda theta).

        Word vectors, shifts and biases do not decay: Adam would erase the vectors of words that a batch lacks.
        """
        learnt = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        weights = [p for name, p in learnt if p.ndim > 1 and "embedding" not in name]
        others = [p for name, p in learnt if p.ndim <= 1 or "embedding" in name]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": 2 * self.recipe.l2}, {"params": others}]
        optimizer = torch.optim.Adam(groups, lr=self.recipe.learning_rate)
        steps = int(self.trainer.estimated_stepping_batches)
        share = (lambda step: warm_up_then_cosine(step, steps)) if self.recipe.anneal else self.decayed
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warm_up_then_cosine(step: int, steps: int) -> float:
    """The share of the learning rate at a step: rises over the first 5%, then falls to zero along a cosine."""
    warm = max(1.0, WARM_UP * steps)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1, step / steps))))
