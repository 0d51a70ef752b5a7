"""Fill-in-the-blank: a sentence with a blank and its video; the loss is the cross-entropy over words (equation 7)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jsf.data.blanks import every_blank
from jsf.data.captions import Caption
from jsf.data.datasets.tasks import as_blanks
from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.fill_in_the_blank import evaluate_fill_in_the_blank
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion
from jsf.training.batches import Rows
from jsf.training.examples import Batch, Examples, Pairs, tensors
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer

ALIKE = 20
"""Batches whose sentences are sorted by length among them."""


class BlankExamples(Examples):
    """Blanks whose answer is a word of the vocabulary: the others cannot be learnt, and count as wrong in validation.

    Where a split has captions, each of their content words is left out in turn; validation leaves out one a caption.
    """

    def __init__(self, split: Split, vocabulary: Vocabulary, config: JSFusionConfig, recipe: Recipe) -> None:
        super().__init__(split, vocabulary, config, recipe)
        self.table = as_blanks(split.rows, set(vocabulary.words), "the table")
        captions = [row for row in split.rows if isinstance(row, Caption)]
        blanks = [blank for caption in captions for blank in every_blank(caption, vocabulary.ids)] or self.table
        known = [blank for blank in blanks if blank.answer in vocabulary.ids]
        if not known:
            raise JsfError(f"none of the answers of {len(self.table):,} blanks is in the vocabulary.")
        self.video_ids = np.array([blank.video_id for blank in known])
        self.words, self.word_lengths, self.blanks = vocabulary.encode_blanks([blank.sentence for blank in known])
        self.answers = np.array([vocabulary.ids[blank.answer] for blank in known])

    def __len__(self) -> int:
        """The number of blanks whose answer is known."""
        return len(self.answers)

    def order(self, shuffled: Rows) -> Rows:
        """Puts sentences of like lengths in one batch: the matcher computes as many words as the longest has.

        What does not fill a batch is left out before sorting, lest it be the longest each time; batches stay shuffled.
        """
        batch, size = self.recipe.batch, self.recipe.batch * ALIKE
        result, filled = [shuffled[:0]], len(shuffled) // batch * batch
        for part in (shuffled[start : min(start + size, filled)] for start in range(0, filled, size)):
            places = np.argsort(self.word_lengths[part], kind="stable").reshape(-1, batch)
            result.append(part[places[np.argsort(places[:, 0])].ravel()])
        return np.concatenate(result)

    def stack(self, rows: Rows, random: np.random.Generator) -> Batch:
        """B blanks, each with its video."""
        ids = self.video_ids[rows]
        columns = (self.words, self.word_lengths, self.blanks, self.answers)
        words, lengths, blanks, answers = tensors(*(column[rows] for column in columns))
        describes = torch.from_numpy(np.equal.outer(ids, ids))
        return Batch(*self.videos(ids, random), words, lengths, describes, blanks=blanks, answers=answers)

    def pairs(self, batch: Batch, alignment: Tensor | None) -> Pairs:
        """Each blank with its own video."""
        order = torch.arange(len(batch.words), device=batch.words.device)
        return order, order

    def loss(self, scores: Tensor, pairs: Pairs, batch: Batch) -> Tensor:
        """Cross-entropy over all words."""
        assert batch.answers is not None
        return F.cross_entropy(scores, batch.answers)

    def validate(self, scorer: CheckpointScorer) -> dict[str, float]:
        """The accuracy on the split's blanks."""
        result = evaluate_fill_in_the_blank(scorer, self.table, self.store)
        return {"accuracy": result.accuracy, "top5": result.top5, "score": result.accuracy}


@torch.no_grad()
def begin_as_words(model: JSFusion, scale: float) -> None:
    """Sets the weights of D8 to the word vectors, scaled: the answer is then sought near what D7 says.

    Raises:
        JsfError: the model scores no words, or D7 is not as wide as a word vector.
    """
    weights = dict(model.matcher.head.d8.named_parameters())
    answers, words = weights.get("linear.weight", weights.get("weight")), model.word_encoder.embedding.weight
    assert answers is not None
    if answers.shape != words.shape:
        raise JsfError(
            f"answer_vectors sets D8, {list(answers.shape)}, to the word vectors, {list(words.shape)}.",
            "Make D1 and D7 as wide, of a model for fill-in-the-blank: --set joint=300 --set 'head=[64,64,300]'",
        )
    answers.copy_(scale * words)
