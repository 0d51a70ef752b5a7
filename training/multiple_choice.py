"""Multiple choice: a video with its own sentence, wrong choices, and sentences of other videos (section 3.6)."""

from collections import defaultdict
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from jsf.data.datasets.tasks import as_questions
from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.multiple_choice import evaluate_multiple_choice
from jsf.models.config import JSFusionConfig
from jsf.training.batches import Rows
from jsf.training.examples import Batch, Examples, Pairs, matrix, tensors
from jsf.training.losses import choice_loss, contrastive_loss
from jsf.training.recipe import Recipe
from jsf.training.scorer import CheckpointScorer


class ChoiceExamples(Examples):
    """Questions; where a split has captions only, questions whose wrong choices are sampled."""

    def __init__(self, split: Split, vocabulary: Vocabulary, config: JSFusionConfig, recipe: Recipe) -> None:
        super().__init__(split, vocabulary, config, recipe)
        self.questions = as_questions(split.rows, "the table")
        self.video_ids = np.array([question.video_id for question in self.questions])
        sentences = list(dict.fromkeys(chain.from_iterable(question.options for question in self.questions)))
        self.words, self.word_lengths = vocabulary.encode_batch(sentences)
        self._row = {sentence: row for row, sentence in enumerate(sentences)}
        self._right = np.array([self._row[question.options[question.answer]] for question in self.questions])
        self._about: dict[str, list[int]] = defaultdict(list)
        for i, question in enumerate(self.questions):
            self._about[question.video_id].append(i)

    def __len__(self) -> int:
        """The number of questions."""
        return len(self.questions)

    def stack(self, rows: Rows, random: np.random.Generator) -> Batch:
        """B videos with L candidates each, the right one first; the first B sentences are the right ones."""
        ids, candidates = self.video_ids[rows], np.stack([self._candidates(row, random) for row in rows])
        right = candidates[:, 0]
        sentences = np.concatenate([right, np.setdiff1d(candidates, right)])
        column = {sentence: i for i, sentence in reversed(list(enumerate(sentences)))}
        index = np.array([[column[sentence] for sentence in line] for line in candidates])
        index[:, 0] = np.arange(len(rows))
        describes = np.equal.outer(ids, ids) @ np.equal.outer(right, sentences)
        return Batch(
            *self.videos(ids, random),
            *tensors(self.words[sentences], self.word_lengths[sentences], describes, index),
        )

    def _candidates(self, row: int, random: np.random.Generator) -> Rows:
        """The right choice, the wrong ones, and right choices of questions about other videos."""
        question = self.questions[row]
        wrong = [self._row[text] for i, text in enumerate(question.options) if i != question.answer]
        missing = max(0, self.recipe.candidates - 1 - len(wrong))
        drawn = self._right[self._others(question.video_id, missing, random)]
        return np.array([self._right[row], *wrong, *drawn], np.intp)[: self.recipe.candidates]

    def _others(self, video_id: str, count: int, random: np.random.Generator) -> Rows:
        """So many questions about other videos, drawn without a look at each of them."""
        own = np.array(self._about[video_id])
        if count and len(own) == len(self):
            raise JsfError(f"all questions are about '{video_id}': no other video has a sentence to draw.")
        drawn = random.integers(len(self) - len(own), size=count) if count else np.empty(0, np.intp)
        return drawn + np.searchsorted(own - np.arange(len(own)), drawn, side="right")  # steps over its own

    def pairs(self, batch: Batch, alignment: Tensor | None) -> Pairs:
        """Each video with its candidates, each once."""
        assert batch.candidates is not None
        videos, sentences = torch.zeros_like(batch.describes).scatter(1, batch.candidates, True).nonzero(as_tuple=True)
        return videos, sentences

    def loss(self, scores: Tensor, pairs: Pairs, batch: Batch) -> Tensor:
        """The hinge of every wrong candidate or, where the recipe says so, the contrastive loss."""
        values, wrong = matrix(scores, pairs, batch)
        return (
            contrastive_loss(values, wrong)
            if self.recipe.contrastive
            else choice_loss(values, wrong, self.recipe.margin)
        )

    def validate(self, scorer: CheckpointScorer) -> dict[str, float]:
        """The accuracy on the split's questions."""
        accuracy = evaluate_multiple_choice(scorer, self.questions, self.store).accuracy
        return {"accuracy": accuracy, "score": accuracy}
