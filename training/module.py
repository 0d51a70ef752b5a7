"""The training and validation steps of JSFusion, as Lightning runs them."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from lightning import LightningModule
from torch.utils.checkpoint import checkpoint

from jsf.data.vocabulary import Vocabulary
from jsf.models.jsfusion import JSFusion
from jsf.models.layers import MaskedBatchNorm
from jsf.training.alignment import Alignment
from jsf.training.examples import Batch, Examples, matrix
from jsf.training.losses import contrastive_loss, distillation_loss
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer

WARM_UP = 0.05
"""Share of the steps over which an annealed learning rate rises to its maximum."""

HALVED_EVERY = 100_000
"""Steps after which a learning rate that is not annealed is halved (authors' code)."""


class TrainingModule(LightningModule):
    """Trains on the pairs of a batch; validates as `jsf evaluate` does.

    Args:
        model: the network.
        recipe: how to train it.
        vocabulary: the words of its embedding matrix.
        examples: of the training split.
        val: those of the validation split.
        seed: of the dropout, set anew each step, so that a resumed run draws what an uninterrupted one does.

    Attributes:
        validated: the last epoch that was.
    """

    def __init__(
        self, model: JSFusion, recipe: Recipe, vocabulary: Vocabulary, examples: Examples, val: Examples, seed: int
    ) -> None:
        super().__init__()
        self.model, self.recipe, self.vocabulary = model, recipe, vocabulary
        self.examples, self.val, self.seed = examples, val, seed
        self.alignment = Alignment() if recipe.alignment else None
        self.validated = -1

    def on_train_epoch_start(self) -> None:
        """Makes the epoch's shuffle a function of (seed, epoch), and this process's share of it."""
        batches = self.trainer.train_dataloader.dataset  # type: ignore[union-attr]
        batches.epoch, batches.rank = self.current_epoch, self.global_rank

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes the step's dropout a function of (seed, step, process): a resumed epoch draws in another order."""
        torch.manual_seed(self.seed * 1_000_003 + self.global_step * 1009 + self.global_rank)

    def training_step(self, batch: Batch) -> torch.Tensor:
        """The task's loss over the pairs of a batch, and the alignment loss of its encodings."""
        videos = self.model.frame_encoder(batch.features, batch.frame_lengths)
        sentences = self.model.encode_words(batch.words, batch.word_lengths)
        loss, aligned = torch.zeros((), device=self.device), None
        if self.alignment:
            lengths = (batch.frame_lengths, batch.word_lengths)
            aligned = self.alignment(videos, lengths[0], sentences, lengths[1], self.model.config.left_padded)
            loss = loss + self.recipe.alignment * contrastive_loss(aligned, ~batch.describes)
        if self.current_epoch >= self.recipe.alone:
            videos_of, sentences_of = pairs = self.examples.pairs(batch, None if aligned is None else aligned.detach())
            frame_lengths = batch.frame_lengths
            if self.recipe.matched_frames:
                videos, frame_lengths = self._some_frames(videos, frame_lengths)
            match = self._checkpointed if self.recipe.checkpointing else self.model.match
            scores = match(videos, frame_lengths, sentences, batch.word_lengths, videos_of, sentences_of, batch.blanks)
            loss = loss + self.examples.loss(scores.float(), pairs, batch)
            if self.recipe.distill and aligned is not None:
                values, wrong = matrix(scores.float(), pairs, batch)
                loss = loss + self.recipe.distill * distillation_loss(values, aligned.detach(), wrong)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch.word_lengths))
        return loss

    def _some_frames(self, videos: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One encoded frame of each of `matched_frames` equal parts of each video; of shorter ones, all frames."""
        count = self.recipe.matched_frames
        parts = torch.arange(count, device=videos.device) + torch.rand(len(videos), count, device=videos.device)
        order = torch.arange(count, device=videos.device).expand(len(videos), -1)
        drawn = torch.minimum(parts * lengths[:, None] / count, lengths[:, None] - 1)  # rounding may reach the end
        steps = torch.where(lengths[:, None] > count, drawn, order).long()
        if self.model.config.left_padded:
            steps = steps + videos.shape[1] - lengths.clamp(min=count)[:, None]
        return videos.gather(1, steps[..., None].expand(-1, -1, videos.shape[2])), lengths.clamp(max=count)

    def _checkpointed(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """As `model.match`; JST's and CHD's activations are not kept but computed again on the way back."""
        contexts = nullcontext(), frozen_statistics(self.model)
        scores: torch.Tensor = checkpoint(self.model.match, *inputs, use_reentrant=False, context_fn=lambda: contexts)
        return scores

    def validation_step(self, batch: Any) -> None:
        """Evaluates the validation split once, in FP32 as `jsf evaluate` does; the loader only says when.

        Epochs that match nothing yet, and those between two validations, are left out; the last one never is.
        """
        epochs = self.current_epoch + 1
        if epochs <= self.recipe.alone or (epochs % self.recipe.validate_every and epochs < self.recipe.epochs):
            return
        self.validated = self.current_epoch
        with torch.autocast(self.device.type, enabled=False):
            metrics = self.val.validate(CheckpointScorer(self.model, self.vocabulary))
        self.log_dict(metrics, prog_bar=True, batch_size=1)

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
        if self.recipe.anneal:
            shares = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warm_up_then_cosine(step, steps))
        else:
            shares = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 ** (step // HALVED_EVERY))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": shares, "interval": "step"}}


@contextmanager
def frozen_statistics(model: JSFusion) -> Iterator[None]:
    """Leaves batch norm's running statistics as they are: a batch that is computed twice counts once."""
    norms = [module for module in model.modules() if isinstance(module, MaskedBatchNorm)]
    decays = [norm.decay for norm in norms]
    for norm in norms:
        norm.decay = 1.0
    try:
        yield
    finally:  # computing again ends by an exception, once nothing more of it is needed
        for norm, decay in zip(norms, decays, strict=True):
            norm.decay = decay


def warm_up_then_cosine(step: int, steps: int) -> float:
    """The share of the learning rate at a step: rises over the first 5%, then falls to zero along a cosine."""
    warm = max(1.0, WARM_UP * steps)
    return min((step + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1, step / steps))))
