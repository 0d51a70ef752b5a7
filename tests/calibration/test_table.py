import numpy as np
import pytest

from jsf.calibration.table import QUERIES, VIDEOS, Table
from jsf.data.blanks import Blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.data.vocabulary import BLANK, Vocabulary

VOCABULARY = Vocabulary((BLANK, "red", "blue"))


def captions(videos, each=1):
    return [Caption(f"v{video}", f"red {number}") for video in range(videos) for number in range(each)]


def draw(rows):
    return Table.draw(Split(None, rows), "val.csv", VOCABULARY)


@pytest.mark.parametrize(("videos", "calibrated"), [(1, 1), (2, 1), (7, 3), (100, 50), (900, VIDEOS)])
def test_half_of_the_videos_are_held_out_of_calibration(videos, calibrated):
    table = draw(captions(videos, 2))
    assert len(table.calibrated) == calibrated
    assert {row.video_id for row in table.calibration.rows} == table.calibrated
    held = {row.video_id for row, out in zip(table.split.rows, table.held_out, strict=True) if out}
    assert held == {row.video_id for row in table.split.rows} - table.calibrated


def test_of_a_large_table_rows_at_equal_distances_are_measured():
    rows = captions(4000)
    table = draw(rows)
    assert len(table.split.rows) == QUERIES
    places = np.array([int(row.video_id[1:]) for row in table.split.rows])
    assert (places[0], places[-1]) == (0, 3999)
    assert set(np.diff(places)) <= {8, 9}


def test_a_small_table_is_measured_whole():
    rows = captions(30, 3)
    assert draw(rows).split.rows == rows


def test_blanks_that_no_model_can_fill_are_left_out():
    rows = [Blank("a", "a _____ ball", "red"), Blank("b", "a _____ ball", "unheard"), Blank("c", "a _____", BLANK)]
    assert draw(rows).split.rows == rows[:1]
    with pytest.raises(JsfError, match=r"val\.csv has no row that the model can be measured on"):
        draw(rows[1:])
