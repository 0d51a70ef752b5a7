"""What a captioner is trained on, and the training and validation steps, as Lightning runs them."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jsf.data.clips import Clips
from jsf.data.errors import JsfError
from jsf.data.narrations import narrations
from jsf.data.progress import track
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.inputs import check_inputs
from jsf.models.hse.beam_search import END
from jsf.models.hse.captioner import Captioner
from jsf.training.batches import Rows
from jsf.training.hse.captioner import AT_ONCE, CheckpointCaptioner
from jsf.training.loop import TrainingLoop
from jsf.training.recipe import CommonRecipe
from jsf.training.scorer import scoring

VALIDATION_BATCH = 256


class CaptionBatch(NamedTuple):
    """B sentences, each about a clip.

    Attributes:
        clips: [B, 2H], what the decoder is given of the clip.
        before: [B, M] ids, the word before each place: END, then all words but the last.
        words: [B, M] ids, the word at each place, and END after the last.
        there: [B, M] bool, which places are words or their end.
    """

    clips: Tensor
    before: Tensor
    words: Tensor
    there: Tensor


class CaptionExamples:
    """The sentences of a split with what the frozen embedding makes of their clips, once for all epochs.

    Sentences without a known word are left out.

    Raises:
        JsfError: the rows do not say which clip a sentence is about, no sentence has a known word, or the features are
            not of the kind that the embedding takes.
    """

    def __init__(self, split: Split, captioner: CheckpointCaptioner) -> None:
        told = narrations(split.rows)
        check_inputs(captioner, split.store, [narration.video_id for narration in told])
        parts = [told[start : start + AT_ONCE] for start in range(0, len(told), AT_ONCE)]
        videos = (
            [captioner.viewed(Clips.of(split.store.read(each.video_id), each.spans)) for each in part]
            for part in track(parts, "embedding clips", len(parts))
        )
        self.clips = np.concatenate([captioner.embed(part) for part in videos])
        of_clips = [sentences for narration in told for sentences in narration.sentences]
        sentences = [sentence for of_clip in of_clips for sentence in of_clip]
        words, lengths = captioner.vocabulary.encode_batch(sentences, captioner.model.config.words)
        known = words[:, 0] != END
        if not known.any():
            raise JsfError("none of the sentences has a word of the vocabulary.", "Train and validate in one language.")
        self.clip_of = np.repeat(np.arange(len(of_clips)), list(map(len, of_clips)))[known]
        self.words, self.lengths = words[known], lengths[known]

    def __len__(self) -> int:
        """The number of sentences."""
        return len(self.words)

    def order(self, shuffled: Rows) -> Rows:
        """As they come."""
        return shuffled

    def stack(self, rows: Rows, random: np.random.Generator) -> CaptionBatch:
        """The sentences of these rows, cropped to the longest."""
        lengths = self.lengths[rows]
        words = np.pad(self.words[rows], ((0, 0), (1, 1)), constant_values=END)[:, : lengths.max() + 2].astype(np.int64)
        there = np.arange(lengths.max() + 1) <= lengths[:, None]
        arrays = self.clips[self.clip_of[rows]], words[:, :-1], words[:, 1:], there
        return CaptionBatch(*(torch.from_numpy(array) for array in arrays))

    def batches(self, size: int) -> Iterator[CaptionBatch]:
        """All sentences, `size` at a time."""
        for start in range(0, len(self), size):
            rows = np.arange(start, min(start + size, len(self)))
            yield self.stack(rows, np.random.default_rng(0))


class CaptioningModule(TrainingLoop):
    """Trains the decoder to tell each word from the clip and from the right words before it.

    Args:
        model: the network; its video encoder does not learn.
        recipe: how to train it.
        vocabulary: the words that it tells with.
        held: the sentences that choose the epoch.
        seed: of the dropout.
    """

    model: Captioner

    def __init__(
        self, model: Captioner, recipe: CommonRecipe, vocabulary: Vocabulary, held: CaptionExamples, seed: int
    ) -> None:
        super().__init__(model, recipe, vocabulary, seed)
        self.held = held

    def training_step(self, batch: CaptionBatch) -> Tensor:
        """The mean cross-entropy of the words and of the ends."""
        loss = self._cross_entropy(batch).mean()
        self.log("loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch.clips))
        return loss

    def validate(self) -> dict[str, float]:
        """The perplexity of the held-out sentences; `score` is 100 over it.

        That is the geometric mean of the probabilities of their words, in percent: it needs neither another package nor
        a sentence to be told, and it rises as the model learns.
        """
        with scoring(self.model):
            batches = self.held.batches(VALIDATION_BATCH)
            moved = (CaptionBatch(*(array.to(self.device) for array in batch)) for batch in batches)
            losses = torch.cat([self._cross_entropy(batch) for batch in moved])
        perplexity = math.exp(float(losses.mean()))
        return {"perplexity": perplexity, "score": 100 / perplexity}

    def _cross_entropy(self, batch: CaptionBatch) -> Tensor:
        """Of each word and end: [places that are there]."""
        logits = self.model.decoder(batch.clips, batch.before)
        return F.cross_entropy(logits[batch.there], batch.words[batch.there], reduction="none")
