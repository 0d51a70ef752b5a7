from dataclasses import replace

import pytest

from jsf.data.blanks import BLANK, Blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.narrations import WHOLE, Narration, narrations
from jsf.data.paragraphs import Paragraph, uniform

HALVES = ((0.0, 0.5), (0.5, 1.0))
PARAGRAPH = Paragraph("v1", ("a man sits", "he stands up"), HALVES)


def test_captions_of_one_video_are_all_of_its_whole():
    rows = [Caption("v1", "one"), Caption("v2", "two"), Caption("v1", "three")]
    assert narrations(rows) == [Narration("v1", (WHOLE,), (("one", "three"),)), Narration("v2", (WHOLE,), (("two",),))]


def test_sentences_of_a_paragraph_stay_with_their_clips():
    again = replace(PARAGRAPH, sentences=("someone sits", "someone stands"))
    elsewhere = replace(PARAGRAPH, spans=((0.0, 0.4), (0.4, 1.0)))
    assert narrations([PARAGRAPH, elsewhere, again]) == [
        Narration("v1", HALVES, (("a man sits", "someone sits"), ("he stands up", "someone stands"))),
        Narration("v1", elsewhere.spans, (("a man sits",), ("he stands up",))),
    ]


def test_sentences_of_unknown_clips_are_refused():
    with pytest.raises(JsfError, match=r"which clip a sentence of 'v1' is about is not known.\nCaptioning takes"):
        narrations([uniform(PARAGRAPH, 2)])


def test_other_rows_are_refused():
    with pytest.raises(JsfError, match="the table holds blanks; captioning takes captions or paragraphs"):
        narrations([Blank("v1", f"a {BLANK}", "man")])
