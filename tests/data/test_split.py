import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.split import hold_out

ids = st.lists(st.text(max_size=3), min_size=2).filter(lambda ids: len(set(ids)) > 1)


@given(ids=ids, share=st.floats(0, 1), most=st.integers(1, 5), seed=st.integers(0, 9))
def test_rows_are_divided_by_video(ids: list[str], share: float, most: int, seed: int) -> None:
    rows = [Caption(video, str(i)) for i, video in enumerate(ids)]
    train, val = hold_out(rows, share, most, seed)
    assert sorted([*train, *val], key=lambda row: int(row.sentence)) == rows
    held = {row.video_id for row in val}
    assert held.isdisjoint(row.video_id for row in train)
    assert 1 <= len(held) <= max(1, min(most, round(share * len(set(ids)))))
    assert train


def test_the_choice_depends_on_the_seed_and_not_on_the_order() -> None:
    rows = [Caption(f"v{i}", "a dog") for i in range(100)]
    train, val = hold_out(rows)
    assert (len(train), len(val)) == (90, 10)
    assert hold_out(rows[::-1]) == (train[::-1], val[::-1])
    assert hold_out(rows, seed=1)[1] != val
    assert len(hold_out(rows, most=3)[1]) == 3


@pytest.mark.parametrize("rows", [[], [Caption("v", "a dog"), Caption("v", "a cat")]])
def test_fewer_than_two_videos_are_refused(rows: list[Caption]) -> None:
    with pytest.raises(JsfError, match="needs two or more"):
        hold_out(rows)
