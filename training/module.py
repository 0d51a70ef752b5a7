"""The training and validation steps of JSFusion, as Lightning runs them."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.utils.checkpoint import checkpoint

from jsf.data.vocabulary import Vocabulary
from jsf.models.jsfusion import JSFusion
from jsf.models.layers import MaskedBatchNorm, valid_steps
from jsf.models.matcher import mean_frame
from jsf.training.alignment import Alignment
from jsf.training.examples import Batch, Examples, matrix
from jsf.training.loop import TrainingLoop
from jsf.training.losses import contrastive_loss, distillation_loss
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer

HALVED_EVERY = 100_000
"""Steps after which a learning rate that is not annealed is halved (authors' code)."""


class TrainingModule(TrainingLoop):
    """Trains on the pairs of a batch.

    Args:
        model: the network.
        recipe: how to train it.
        vocabulary: the words of its embedding matrix.
        examples: of the training split.
        val: those of the validation split.
        seed: of the dropout.
    """

    model: JSFusion
    recipe: Recipe

    def __init__(
        self, model: JSFusion, recipe: Recipe, vocabulary: Vocabulary, examples: Examples, val: Examples, seed: int
    ) -> None:
        super().__init__(model, recipe, vocabulary, seed)
        self.examples, self.val = examples, val
        self.alignment = Alignment() if recipe.alignment else None

    def on_train_epoch_start(self) -> None:
        """Encoders in closed form drop nothing, and their statistics stay."""
        super().on_train_epoch_start()
        if self.recipe.closed_form:
            self.model.frame_encoder.eval()
            self.model.word_encoder.eval()

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
            if self.recipe.frame_loss:
                frames = valid_steps(frame_lengths, videos.shape[1], self.model.config.left_padded)
                said = self.model.matcher.head.d8(mean_frame(videos, frames, self.model.config.left_padded))
                loss = loss + self.recipe.frame_loss * self.examples.loss(said.float(), pairs, batch)
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

    def validate(self) -> dict[str, float]:
        """As the task's evaluation."""
        return self.val.validate(CheckpointScorer(self.model, self.vocabulary))

    def ready(self, epochs: int) -> bool:
        """Once pairs are matched."""
        return epochs > self.recipe.alone

    def decayed(self, step: int) -> float:
        """Halved every 100,000 steps."""
        return 0.5 ** (step // HALVED_EVERY)


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
