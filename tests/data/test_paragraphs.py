import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jsf.data.errors import JsfError
from jsf.data.paragraphs import Fields, Paragraph, observed, read_paragraphs, uniform, with_proposals

FILE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

seconds = st.floats(-50, 150, allow_nan=False)
words = st.text("abc", min_size=1, max_size=5)
stories = st.lists(st.tuples(words, seconds, seconds), min_size=1, max_size=6)


@st.composite
def paragraphs(draw: st.DrawFn) -> Paragraph:
    """Paragraphs of clips that lie where they like within the video."""
    bounds = st.tuples(st.floats(0, 0.9), st.floats(0.001, 0.1)).map(lambda pair: (pair[0], sum(pair)))
    clips = draw(st.lists(st.tuples(words, bounds), min_size=1, max_size=9))
    sentences, spans = zip(*clips, strict=True)
    return Paragraph("v", sentences, spans)


def write(path: Path, value: object) -> Path:
    path.write_text(json.dumps(value))
    return path


def video(sentences: Any = ("a", "b"), spans: Any = ((0, 4), (4, 8)), length: Any = 8) -> dict[str, Any]:
    return {"duration": length, "timestamps": spans, "sentences": sentences}


@FILE
@given(rows=st.lists(paragraphs(), min_size=1, max_size=4), length=st.floats(1, 1e4))
def test_what_is_written_is_read(rows: list[Paragraph], length: float, tmp_path: Path) -> None:
    written = {
        f"v{i}": video(row.sentences, [[a * length, b * length] for a, b in row.spans], length)
        for i, row in enumerate(rows)
    }
    found = read_paragraphs(write(tmp_path / "p.json", written))
    assert [row.video_id for row in found] == list(written)
    for row, expected in zip(found, rows, strict=True):
        assert (row.sentences, row.paired) == (expected.sentences, True)
        for span, wanted in zip(row.spans, expected.spans, strict=True):
            assert span == pytest.approx(wanted, abs=1e-9)


@FILE
@given(story=stories)
def test_spans_are_cut_to_the_video_or_left_out_with_their_sentence(
    story: list[tuple[str, float, float]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    value = video([word for word, _, _ in story], [[start, end] for _, start, end in story], 100)
    kept = [
        (word, max(0, start) / 100, min(100, end) / 100) for word, start, end in story if max(0, start) < min(100, end)
    ]
    cut = sum(
        (start < -1e-4 or end > 100 + 1e-4) and max(0, start) < min(100, end) for _, start, end in story
    )  # rounding is not counted
    path = write(tmp_path / "p.json", {"v": value, "whole": video()})
    with caplog.at_level(logging.WARNING):
        found = read_paragraphs(path)
    assert [row.video_id for row in found] == ["v"] * bool(kept) + ["whole"]
    if kept:
        assert list(found[0].sentences) == [word for word, _, _ in kept]
        for (start, end), (_, *wanted) in zip(found[0].spans, kept, strict=True):
            assert 0 <= start < end <= 1
            assert [start, end] == pytest.approx(wanted, abs=1e-9)
    parts = [f"{cut} cut to the length of the video"] * bool(cut)
    parts += [f"{len(story) - len(kept)} left out, with nothing inside the video"] * (len(kept) < len(story))
    parts += ["1 paragraph left out, without any other"] * (not kept)
    assert caplog.messages == [f"{path}: of {len(story) + 2} spans {'; '.join(parts)}"] * bool(parts)


def test_the_report_is_one_line_on_standard_error(tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", {"v": video(spans=[[0, 4], [4, 9]])})
    code = f"from pathlib import Path; from jsf.data.paragraphs import *; read_paragraphs(Path({str(path)!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", f"{path}: of 2 spans 1 cut to the length of the video\n")


@given(row=paragraphs(), count=st.integers(1, 50))
def test_equal_clips_follow_each_other_through_the_whole_video(row: Paragraph, count: int) -> None:
    found = uniform(row, count)
    starts, ends = zip(*found.spans, strict=True)
    assert (starts[0], ends[-1], starts[1:]) == (0, 1, ends[:-1])
    assert [end - start for start, end in found.spans] == pytest.approx([1 / count] * count)
    assert (found.video_id, found.sentences, found.paired) == (row.video_id, row.sentences, False)


@given(row=paragraphs(), share=st.floats(0.01, 1), count=st.integers(1, 9))
def test_what_is_observed_is_the_beginning(row: Paragraph, share: float, count: int) -> None:
    for whole in (row, uniform(row, count)):
        part = observed(whole, share)
        for seen, all_ in ((part.sentences, whole.sentences), (part.spans, whole.spans)):
            assert seen == all_[: len(seen)]
            assert len(seen) == max(1, round(share * len(all_)))
        assert part.paired == whole.paired
        assert observed(whole, 1) == whole


def test_the_sentences_are_one_text() -> None:
    assert Paragraph("v", ("A dog.", "It runs."), ((0, 0.5), (0.5, 1))).sentence == "A dog. It runs."


def test_proposals_take_the_place_of_the_clips(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [Paragraph("a", ("x", "y"), ((0, 0.5), (0.5, 1))), Paragraph("b", ("z",), ((0, 1),))]
    proposals = {
        "b": {"duration": 10, "timestamps": [[5, 12], [0, 1], [2, 2]]},
        "a": {"duration": 4, "timestamps": [[1, 3]]},
        "unasked": {"duration": 4, "timestamps": [[9, 12]]},
    }
    path = write(tmp_path / "proposals.json", proposals)
    with caplog.at_level(logging.WARNING):
        found = with_proposals(rows, path)
    assert found == [
        Paragraph("a", ("x", "y"), ((0.25, 0.75),), paired=False),
        Paragraph("b", ("z",), ((0.0, 0.1), (0.5, 1.0)), paired=False),
    ], "in order of time"
    assert caplog.messages == [
        f"{path}: of 4 spans 1 cut to the length of the video; 1 left out, with nothing inside the video"
    ]


@pytest.mark.parametrize("spans", [None, [[4, 4]], [[9, 12]], [[3, 1]]], ids=["absent", "empty", "outside", "swapped"])
def test_a_video_without_a_proposal_is_named(spans: Any, tmp_path: Path) -> None:
    proposals = {"a": {"duration": 4, "timestamps": [[1, 3]]}}
    if spans:
        proposals["b"] = {"duration": 4, "timestamps": spans}
    rows = [Paragraph(name, ("x",), ((0, 1),)) for name in "ab"]
    with pytest.raises(JsfError, match=r"proposals.json proposes no clip within the video for 1 of 2, first 'b'"):
        with_proposals(rows, write(tmp_path / "proposals.json", proposals))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (video(sentences=[]), r"'sentences' is \[\], expected a list of sentences"),
        (video(sentences="a"), "'sentences' is 'a', expected a list"),
        ({"duration": 8, "timestamps": [[0, 4]]}, "'sentences' is None, expected a list"),
        (video(sentences=["a", " "]), "'sentences' holds ' ', expected a sentence"),
        (video(sentences=["a", 3]), "'sentences' holds 3, expected a sentence"),
        (video(sentences=["a"]), "has 2 'timestamps' and 1 'sentences'"),
        (video(spans=[]), r"'timestamps' is \[\], expected a list of \[start, end\]"),
        (video(spans={"0": 4}), "'timestamps' is {'0': 4}, expected a list"),
        (video(spans=[[0, 4], [4]]), r"'timestamps' holds \[4\], expected \[start, end\] in numbers"),
        (video(spans=[[0, 4], [4, float("nan")]]), r"'timestamps' holds \[4, nan\]"),
        (video(spans=[[0, 4], [4, float("inf")]]), r"'timestamps' holds \[4, inf\]"),
        (video(spans=[[0, 4], [4, 10**400]]), r"'timestamps' holds \[4, 1000"),
        (video(spans=[[0, 4], ["4", 8]]), r"'timestamps' holds \['4', 8\]"),
        (video(spans=[[0, 4], [False, True]]), r"'timestamps' holds \[False, True\]"),
        (video(length=0), "'duration' is 0, expected a positive number"),
        (video(length=-8), "'duration' is -8, expected a positive"),
        (video(length=float("nan")), "'duration' is nan, expected a positive"),
        (video(length=None), "'duration' is None, expected a positive"),
        ("a", "is 'a', expected an object under the id of a video"),
    ],
)
def test_a_damaged_paragraph_is_refused_by_file_and_id(value: object, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "p.json", {"v_1": video(), "v_2": value})
    with pytest.raises(JsfError, match=rf"p\.json, 'v_2'.* {message}"):
        read_paragraphs(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not readable JSON"),
        ("[]", "holds a JSON list, expected an object"),
        ("{}", "holds no videos"),
        ('{"": {"duration": 1}}', "'' is {'duration': 1}, expected an object under the id of a video"),
        (json.dumps({"v": video(spans=[[9, 12], [20, 30]])}), "no span lies in its video"),
    ],
)
def test_a_file_that_holds_no_paragraphs_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(text)
    with pytest.raises(JsfError, match=rf"p\.json.* {message}"):
        read_paragraphs(tmp_path / "p.json")


def test_a_field_is_called_what_the_file_calls_it(tmp_path: Path) -> None:
    fields = Fields("feature_leng", "times", "description")
    path = write(tmp_path / "p.json", {"v": {"feature_leng": 10, "times": [[0, 5]], "description": [" a  dog "]}})
    assert read_paragraphs(path, fields) == [Paragraph("v", ("a dog",), ((0.0, 0.5),))]
    with pytest.raises(JsfError, match="'duration' is None"):
        read_paragraphs(path)
