from pathlib import Path

import pytest

from jsf.data.blanks import Blank
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.questions import Question
from jsf.data.tables import read_rows


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.csv", "video_id,sentence\nv,a dog\n", Caption("v", "a dog")),
        ("t.csv", "key\tvid_key\tdescription\n1\tv\ta dog\n", Caption("v", "a dog")),
        ("t.csv", "key\tvid_key\ta1\ta2\tanswer\n1\tv\tx\ty\t1\n", Question("v", ("x", "y"), 1)),
        ("t.jsonl", '{"clip_name": "v", "options": ["x", "y"], "answer": "1"}', Question("v", ("x", "y"), 1)),
        (
            "t.json",
            '{"v": {"duration": 4, "timestamps": [[0, 1]], "sentences": ["a dog"]}}',
            Paragraph("v", ("a dog",), ((0, 0.25),)),
        ),
        ("t.csv", "vid_key\tsentence\tblank_sentence\tanswer\nv\ta dog\ta __\tdog\n", Blank("v", "a _____", "dog")),
    ],
)
def test_the_kind_is_recognised(name: str, text: str, expected: object, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_rows(tmp_path / name) == [expected]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.json"])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist"):
        read_rows(tmp_path / name)
    with pytest.raises(JsfError, match="is a folder"):
        read_rows(tmp_path)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(JsfError, match="not a readable table"):
        read_rows(tmp_path / "t.csv")
