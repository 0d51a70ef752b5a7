"""The table that a reduced precision is measured on, and the part of it that calibration sees."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from jsf.calibration.gate import ENOUGH
from jsf.data.blanks import Blank
from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.evaluation.fill_in_the_blank import FIRST_WORD

QUERIES = ENOUGH
"""Rows that are scored at most: of more, so many at equal distances."""

VIDEOS = 128
"""Videos to calibrate on at most, and never more than half where there are two: the others are held out."""


@dataclass(frozen=True)
class Table:
    """Rows to measure on.

    Attributes:
        split: the rows, at most `QUERIES`, and their features.
        name: what the user calls it, for reports.
        calibrated: the videos that calibration may see.
    """

    split: Split
    name: str
    calibrated: frozenset[str]

    @classmethod
    def draw(cls, split: Split, name: str, vocabulary: Vocabulary) -> "Table":
        """Takes rows at equal distances, and every other video of them to calibrate on.

        Blanks whose answer is not in the vocabulary are left out: no model can fill them.

        Raises:
            JsfError: no row is left.
        """
        rows = [
            row for row in split.rows if not isinstance(row, Blank) or vocabulary.ids.get(row.answer, 0) >= FIRST_WORD
        ]
        if not rows:
            raise JsfError(f"{name} has no row that the model can be measured on.", "Name another table: --captions")
        places = np.unique(np.linspace(0, len(rows) - 1, QUERIES).astype(int))
        chosen = Split(split.store, [rows[i] for i in places])
        return cls(chosen, name, frozenset(chosen.video_ids[1::2][:VIDEOS] or chosen.video_ids))

    @property
    def calibration(self) -> Split:
        """The rows that calibration may see."""
        return Split(self.split.store, [row for row in self.split.rows if row.video_id in self.calibrated])

    @property
    def held_out(self) -> npt.NDArray[np.bool_]:
        """Which rows are of other videos: [Q]."""
        return np.array([row.video_id not in self.calibrated for row in self.split.rows])
