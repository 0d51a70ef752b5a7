import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.captions import Caption, read_captions, video_ids
from jsf.data.errors import JsfError

EXPECTED = [Caption("video1", "a car, a truck"), Caption("video2", "a dog"), Caption("video1", "two cars")]


@pytest.mark.parametrize(
    "table",
    [
        'video_id,sentence\nvideo1,"a car, a truck"\nvideo2,a dog\nvideo1,two cars\n',
        "video_id\tsentence\nvideo1\ta car, a truck\nvideo2\ta dog\nvideo1\ttwo cars\n",
        "sentence\tkey\tvideo_id\na car, a truck\tret0\tvideo1\na dog\tret1\tvideo2\ntwo cars\tret2\tvideo1",
        '\ufeffvideo_id,sentence\r\nvideo1,"a car, a truck"\r\nvideo2, a dog \r\nvideo1,two cars\r\n',
        'video_id, sentence\nvideo1,"a car, a truck"\nvideo2, a dog\nvideo1, two cars\n',
        "key\tvid_key\tdescription\n1\tvideo1\ta car, a truck\n2\tvideo2\ta dog\t\n3\tvideo1\ttwo cars\n",
        'vid_key,video_id,sentence\nmsr1,video1,"a car, a truck"\nmsr2,video2,a dog\nmsr1,video1,two cars\n',
    ],
    ids=["comma", "tab", "other columns, other order", "byte order mark and CRLF", "spaces", "LSMDC", "MSR-VTT"],
)
def test_tables(table: str, tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text(table, encoding="utf-8", newline="")
    assert read_captions(path) == EXPECTED


def test_quotation_marks_in_a_tab_separated_table_are_text(tmp_path: Path) -> None:
    path = tmp_path / "captions.tsv"
    path.write_text('video_id\tsentence\nvideo1\t"Go," says SOMEONE.\nvideo2\ta 7" disc\n')
    assert [caption.sentence for caption in read_captions(path)] == ['"Go," says SOMEONE.', 'a 7" disc']


words = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=12)


@given(rows=st.lists(st.tuples(words, words), min_size=1, max_size=8))
def test_round_trip_through_a_csv_writer(rows: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("captions") / "captions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("video_id", "sentence"), *rows])
    assert read_captions(path) == [Caption(*row) for row in rows]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"", r"no column \['video_id or vid_key', 'sentence or description or label'\]; its header is \[\]"),
        (b"video_id,sentence\n", "a header and no rows"),
        (b"video,sentence\nvideo1,a car\n", r"no column \['video_id or vid_key'\]"),
        (b"video_id,sentence\nvideo1,a car\nvideo2, \n", "line 3: 'sentence' is empty"),
        (b"video_id,sentence\nvideo1\n", "line 2: 'sentence' is empty"),
        (b"video_id,sentence\n,a car\n", "line 2: 'video_id' is empty"),
        (b'video_id,sentence\nvideo1,"a\ncar"\n\nvideo2,\n', "line 5: 'sentence' is empty"),
        (b"video_id,sentence\nvideo1,a car, a truck\n", r"line 2: more cells than the header has .*\[' a truck'\]"),
        (b"vid_key\tdescription\nvid1\t \n", "line 2: 'description' is empty"),
        (b"video_id,video_id,sentence\na,b,a car\n", r"the column \['video_id'\] more than once"),
        (b"video_id,sentence\nvideo1,\xff\n", "not a readable table"),
        (b'video_id,sentence\nvideo1,"a car\n', "not a readable table"),
    ],
)
def test_a_damaged_table_is_refused(table: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_bytes(table)
    with pytest.raises(JsfError, match=message) as caught:
        read_captions(path)
    assert str(path) in caught.value.message


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist") as caught:
        read_captions(tmp_path / "captions.csv")
    assert "video_id,sentence" in caught.value.fix


def test_white_space_in_a_sentence_is_single_spaces(tmp_path: Path) -> None:
    path = tmp_path / "captions.csv"
    path.write_text('video_id,sentence\nvideo1," a  car\non a road "\n')
    assert read_captions(path) == [Caption("video1", "a car on a road")]


def test_video_ids_are_distinct_and_in_order_of_appearance() -> None:
    assert video_ids(EXPECTED) == ["video1", "video2"]
