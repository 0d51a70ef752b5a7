"""A clip is never empty and never leaves its video; the whole holds all clips."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.clips import Clips, cut, equal_spans, stack_clips


def steps(length):
    """Features whose only number is the step."""
    return np.arange(length, dtype=np.float32)[:, None]


def bounds(clip):
    return int(clip[0, 0]), int(clip[-1, 0]) + 1


@st.composite
def spans(draw):
    """Two times of a video and its duration, as shares: 0 <= start < end <= 1."""
    duration = draw(st.floats(0.1, 1e4))
    start, end = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True)))
    span = start * duration / duration, min(1.0, end * duration / duration)
    return span if span[0] < span[1] else (0.0, 1.0)


@given(length=st.integers(1, 500), span=spans())
def test_a_clip_has_a_step_and_lies_within_its_video(length, span):
    clip = cut(steps(length), span)
    start, end = bounds(clip)
    assert 1 <= len(clip) == end - start
    assert 0 <= start < end <= length


@given(length=st.integers(1, 500), span=spans())
def test_a_clip_holds_all_that_its_span_touches_and_no_step_more(length, span):
    start, end = bounds(cut(steps(length), span))
    assert start <= span[0] * length + 1e-5 and end >= span[1] * length - 1e-5
    assert start > span[0] * length - 1 - 1e-5 and end < max(span[1] * length, start) + 1 + 1e-5


@given(length=st.integers(1, 2000), data=st.data())
def test_shares_of_whole_steps_are_cut_at_those_steps(length, data):
    first = data.draw(st.integers(0, length - 1))
    last = data.draw(st.integers(first + 1, length))
    assert bounds(cut(steps(length), (first / length, last / length))) == (first, last)


@pytest.mark.parametrize(
    ("span", "expected"),
    [((0, 1), (0, 10)), ((0.25, 0.5), (2, 5)), ((0.31, 0.39), (3, 4)), ((0.999, 1), (9, 10)), ((0.0, 1e-9), (0, 1))],
)
def test_a_cut_by_hand(span, expected):
    assert bounds(cut(steps(10), span)) == expected


@given(length=st.integers(1, 300), count=st.integers(1, 12))
def test_equal_clips_leave_no_gap(length, count):
    shares = equal_spans(count)
    assert len(shares) == count and shares[0][0] == 0 and shares[-1][1] == 1
    assert all(before[1] == after[0] for before, after in itertools.pairwise(shares))
    clips = [bounds(clip) for clip in Clips.of(steps(length), shares).clips]
    assert (clips[0][0], clips[-1][1]) == (0, length)
    assert all(after[0] <= before[1] for before, after in itertools.pairwise(clips))
    if length % count == 0:
        assert [end - start for start, end in clips] == [length // count] * count


@given(length=st.integers(1, 200), shares=st.lists(spans(), min_size=1, max_size=5))
def test_the_whole_is_all_that_is_seen_wherever_the_clips_lie(length, shares):
    whole, clips = Clips.of(steps(length), shares)
    assert bounds(whole) == (0, length)
    seen = (0.0, max(end for _, end in shares))
    some, same = Clips.of(steps(length), shares, seen)
    assert bounds(some) == (0, max(bounds(clip)[1] for clip in clips)) or len(some) == 1
    assert [bounds(clip) for clip in same] == [bounds(clip) for clip in clips]
    assert len(clips) == len(shares)


def test_clips_are_stacked_into_places():
    videos = [[steps(3), steps(9) + 1], [steps(1)], [steps(2)] * 4]
    clips, lengths = stack_clips(videos, steps=4, places=3)
    assert clips.shape == (3, 3, 4, 1) and clips.dtype == np.float32
    assert lengths.tolist() == [[3, 4, 0], [1, 0, 0], [2, 2, 2]] and lengths.dtype == np.int32
    assert clips[0, 0, :, 0].tolist() == [0, 1, 2, 0]
    assert clips[0, 1, :, 0].tolist() == [1, 3, 5, 7]  # steps floor(i * 9 / 4)
    assert not clips[0, 2].any() and not clips[1, 1:].any()


def test_half_precision_features_are_stacked_in_single():
    clips, _ = stack_clips([[np.full((2, 3), 0.5, np.float16)]], 2, 1)
    assert clips.dtype == np.float32 and (clips == 0.5).all()
