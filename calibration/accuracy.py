"""The scores of a table, whatever its task, in one form: queries, what each can choose from, and what is right."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.blanks import Blank
from jsf.data.questions import Question
from jsf.data.split import Split
from jsf.data.task_names import EMBEDDING
from jsf.evaluation.fill_in_the_blank import FIRST_WORD, score_words
from jsf.evaluation.inputs import distinct
from jsf.evaluation.metrics import credit, ranks
from jsf.evaluation.multiple_choice import score_options
from jsf.evaluation.paragraphs import score_paragraphs
from jsf.evaluation.retrieval import score_retrieval

RECALLS = (1, 5, 10)


@dataclass(frozen=True)
class Scored:
    """The scores of a table.

    Attributes:
        scores: [Q, K] float32, of each query with all that it can choose from; -inf where it has fewer than others.
        right: [Q, K] bool.
        groups: [Q], the video of each query; queries about one video are not independent.
        answers: whether a query is a question, measured by its accuracy, and not a search.
    """

    scores: npt.NDArray[np.float32]
    right: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.intp]
    answers: bool

    def metrics(self) -> dict[str, npt.NDArray[np.float64]]:
        """What each query reaches, [Q]: 100 or 0 for its accuracy or its recalls, and its rank as "MedR"."""
        if self.answers:  # as `jsf evaluate` counts them
            right = [
                credit(scores, int(answer)) for scores, answer in zip(self.scores, self.right.argmax(1), strict=True)
            ]
            return {"accuracy": 100 * np.array(right)}
        rank = ranks(self.scores, self.right)
        return {**{f"R@{k}": np.where(rank <= k, 100.0, 0.0) for k in RECALLS}, "MedR": rank}

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Scored":
        """Some of the queries [Q] bool; those of a search look among the videos of these queries only."""
        columns = np.full(self.right.shape[1], True) if self.answers else self.right[chosen].any(0)
        scores, right = self.scores[chosen][:, columns], self.right[chosen][:, columns]
        return Scored(scores, right, self.groups[chosen], self.answers)


def score_split(scorer: Any, split: Split) -> Scored:
    """Scores every row of a table: a caption or a paragraph with all videos, a question or a blank with its answers.

    Args:
        scorer: JSFusion's or an embedding's, of a bundle.
        split: the table.

    Raises:
        JsfError: a video has no features, or they are not of the kind that the model takes.
    """
    rows: Any = split.rows
    _, groups = distinct(row.video_id for row in rows)
    if isinstance(rows[0], Question):
        scores = score_options(scorer, rows, split.store)
        most = max(map(len, scores))
        padded = np.array([np.pad(s, (0, most - len(s)), constant_values=-np.inf) for s in scores])
        return Scored(padded, np.arange(most) == np.array([[row.answer] for row in rows]), groups, answers=True)
    if isinstance(rows[0], Blank):
        words = score_words(scorer, rows, split.store)[:, FIRST_WORD:]
        answers = np.array([[scorer.vocabulary.ids[row.answer] - FIRST_WORD] for row in rows])
        return Scored(words, np.arange(words.shape[1]) == answers, groups, answers=True)
    matrix, relevant = (score_paragraphs if scorer.task == EMBEDDING else score_retrieval)(scorer, rows, split.store)
    return Scored(matrix.T, relevant.T, groups, answers=False)
