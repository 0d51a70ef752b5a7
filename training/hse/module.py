"""The training and validation steps of HSE and FSE, as Lightning runs them."""

import torch
from torch import Tensor

from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.paragraphs import evaluate_paragraphs
from jsf.models.hse.decoder import Decoder
from jsf.models.hse.hse import HSE
from jsf.models.hse.tower import Levels
from jsf.training.hse.embedder import CheckpointEmbedder
from jsf.training.hse.examples import HSEBatch, as_paragraphs
from jsf.training.hse.losses import cosines, matching, set_scores
from jsf.training.hse.recipe import HSERecipe
from jsf.training.loop import TrainingLoop
from jsf.training.losses import contrastive_loss
from jsf.training.retrieval import metrics

FALLS_EVERY, FALL = 10, 0.1
"""Epochs after which a learning rate that is not annealed falls, and to which share (authors' code)."""


class HSEModule(TrainingLoop):
    """Trains on the matches and mismatches within a batch, at every level.

    Args:
        model: the network.
        recipe: how to train it.
        vocabulary: the words of its embedding matrix.
        val: the validation split, captions or paragraphs.
        seed: of the dropout.
    """

    model: HSE
    recipe: HSERecipe

    def __init__(self, model: HSE, recipe: HSERecipe, vocabulary: Vocabulary, val: Split, seed: int) -> None:
        super().__init__(model, recipe, vocabulary, seed)
        self.val = val
        config = model.config
        self.high_decoders = self.low_decoders = None
        if config.hierarchical and recipe.reconstruct_high:
            self.high_decoders = torch.nn.ModuleList(Decoder(config.hidden, config.hidden) for _ in range(2))
        if config.hierarchical and recipe.reconstruct_low:
            widths = config.feature_width, config.word_width
            self.low_decoders = torch.nn.ModuleList(Decoder(config.hidden, width) for width in widths)

    def validate(self) -> dict[str, float]:
        """As `jsf evaluate`."""
        embedder = CheckpointEmbedder(self.model, self.vocabulary)
        return metrics(evaluate_paragraphs(embedder, as_paragraphs(self.val.rows, hierarchical=False), self.val.store))

    def decayed(self, step: int) -> float:
        """A tenth after every ten epochs."""
        epoch = step * self.recipe.epochs // int(self.trainer.estimated_stepping_batches)
        return float(FALL ** (epoch // FALLS_EVERY))

    def training_step(self, batch: HSEBatch) -> Tensor:
        """The sum of the losses of every level, as the recipe weighs them."""
        videos, texts = self.model.video_encoder.levels(*batch.videos), self.model.text_encoder.levels(*batch.texts)
        loss = self._level(videos.top, texts.top, batch.wrong)
        if self.model.config.hierarchical:
            loss = loss + self.recipe.context * self._match(cosines(videos.context, texts.context), batch.wrong)
            if self.recipe.low:
                loss = loss + self.recipe.low * self._parts(videos, texts, batch)
            loss = loss + self._reconstruction(videos, texts, batch)
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch.wrong))
        return loss

    def _level(self, a: Tensor, b: Tensor, wrong: Tensor) -> Tensor:
        """C(a, b) + 1/2 [C(a, a) + C(b, b)]; those of b past the last a belong to none."""
        loss = self._match(cosines(a, b), wrong)
        if self.recipe.within:
            b, same = b[: len(a)], wrong[:, : len(a)]
            within = self._match(cosines(a, a), same) + self._match(cosines(b, b), same)
            loss = loss + self.recipe.within * within
        return loss

    def _match(self, scores: Tensor, wrong: Tensor) -> Tensor:
        if self.recipe.loss == "contrastive":
            return contrastive_loss(scores / self.recipe.temperature, wrong)
        return matching(scores, wrong, hardest=self.recipe.loss == "hardest", average=self.recipe.average)

    def _parts(self, videos: Levels, texts: Levels, batch: HSEBatch) -> Tensor:
        """The lower level: clip k with sentence k or, where that is not known, a video's clips with a text's."""
        assert videos.parts is not None and texts.parts is not None
        clip_there, sentence_there = batch.videos[3] > 0, batch.texts[3] > 0
        clips, sentences = videos.parts[clip_there], texts.parts[sentence_there]
        if self.recipe.weak or not batch.paired.all():
            clip_of, sentence_of = (there.nonzero()[:, 0] for there in (clip_there, sentence_there))
            return self._match(set_scores(clips, clip_of, sentences, sentence_of), batch.wrong)
        text = torch.unique(batch.texts[2][sentence_there], dim=0, return_inverse=True)[1]
        row = clip_there.nonzero()[:, 0]
        shared = ~batch.wrong[row][:, row] & (row[:, None] != row)  # other rows may show the same clips
        same_clip = batch.clip_ids[:, None] == batch.clip_ids
        return self._level(clips, sentences, (text[:, None] != text) & ~shared & ~same_clip)

    def _reconstruction(self, videos: Levels, texts: Levels, batch: HSEBatch) -> Tensor:
        """How far the parts, and the steps of the parts, lie from what is made of the level above."""
        loss = torch.zeros((), device=self.device)
        steps = self.model.video_encoder.standardized, self.model.text_encoder.embedding
        for way, (levels, (_, _, parts, lengths)) in enumerate(((videos, batch.videos), (texts, batch.texts))):
            there = lengths > 0
            assert levels.parts is not None
            if self.high_decoders is not None:
                far = self.high_decoders[way](levels.top, levels.parts, there.sum(1))
                loss = loss + self.recipe.reconstruct_high * far
            if self.low_decoders is not None:
                far = self.low_decoders[way](levels.parts[there], steps[way](parts[there]), lengths[there])
                loss = loss + self.recipe.reconstruct_low * far
        return loss
