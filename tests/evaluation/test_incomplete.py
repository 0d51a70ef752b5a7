from dataclasses import replace

import pytest

from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.evaluation.incomplete import SHARES, evaluate_incomplete
from jsf.evaluation.paragraphs import evaluate_paragraphs

QUARTERS = tuple((i / 4, (i + 1) / 4) for i in range(4))

# The first three begin alike: the first clips and sentences do not tell them apart.
ROWS = [
    Paragraph(words.replace(" ", "-"), tuple(words.split()), QUARTERS)
    for words in ("red green blue red", "red green dark green", "red blue blue blue", "dark green green green")
]


@pytest.fixture
def store(colour_store):
    return colour_store({row.video_id: row.sentence for row in ROWS})


def test_by_hand(store, toy_embedder):
    curve = evaluate_incomplete(toy_embedder(), ROWS, store)
    assert [point.share for point in curve] == [0.25, 0.5, 0.75, 1.0]
    # After one of four the three that are "red" share ranks 1 to 3, after two those that are "red green" ranks 1 and 2.
    mean_ranks = [(2 + 2 + 2 + 1) / 4, (1.5 + 1.5 + 1 + 1) / 4, 1, 1]
    for point, expected in zip(curve, mean_ranks, strict=True):
        assert point.retrieval.text_to_video.mean_rank == pytest.approx(expected)
        assert point.retrieval.video_to_text.mean_rank == pytest.approx(expected)
        assert point.retrieval.text_to_video.gallery == 4


def test_clips_and_sentences_are_both_kept_from_the_first(store, toy_embedder):
    embedder = toy_embedder()
    evaluate_incomplete(embedder, ROWS[:1], store, shares=(0.5,))
    ((video,),) = embedder.seen
    assert len(video.clips) == 2
    assert (video.whole == store.read(ROWS[0].video_id)[:2]).all()
    assert embedder.texts == [[("red", "green")]]


def test_the_whole_is_the_paragraph_protocol(store, toy_embedder):
    rows = [*ROWS, replace(ROWS[0], video_id=ROWS[1].video_id)]
    (point,) = evaluate_incomplete(toy_embedder(), rows, store, shares=(1.0,))
    assert point.retrieval == evaluate_paragraphs(toy_embedder(), rows, store)
    assert SHARES[-1] == 1


def test_no_paragraphs_are_refused(store, toy_embedder):
    with pytest.raises(JsfError, match="nothing to evaluate"):
        evaluate_incomplete(toy_embedder(), [], store)
