import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.questions import Question, read_questions, sample_questions
from jsf.data.text import tokenize

Write = Callable[[str, str], Path]
TABLE = "key\tvid_key\ta1\ta2\tanswer\n"

sentences = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1, max_size=8)


@st.composite
def questions(draw: st.DrawFn) -> list[Question]:
    count = draw(st.integers(2, 12))
    options = st.lists(sentences, min_size=count, max_size=count).map(tuple)
    return draw(st.lists(st.builds(Question, sentences, options, st.integers(0, count - 1)), min_size=1, max_size=5))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@given(rows=questions())
def test_round_trip_through_json_lines(rows: list[Question], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("questions") / "test.jsonl"
    lines = [{"qid": "mc0", "clip_name": q.video_id, "answer": str(q.answer), "options": q.options} for q in rows]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert read_questions(path) == rows


@given(rows=questions())
def test_round_trip_through_the_authors_table(rows: list[Question], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("questions") / "test.csv"
    names = [f"a{i + 1}" for i in range(len(rows[0].options))]
    table = [["key", "vid_key", *names, "answer"]]
    table += [["MC", row.video_id, *row.options, str(row.answer)] for row in rows]
    path.write_text("".join("\t".join(cells) + "\n" for cells in table), encoding="utf-8")
    assert read_questions(path) == rows


def test_json_lines_take_either_name_of_the_video_and_either_kind_of_answer(write: Write) -> None:
    path = write(
        "test.jsonl",
        '{"video_id": "v", "options": ["a", " b\\n c"], "answer": 1}\n\n'
        '{"clip_name": " w ", "options": ["a", "b"], "answer": "0"}',
    )
    assert read_questions(path) == [Question("v", ("a", "b c"), 1), Question("w", ("a", "b"), 0)]


def test_options_are_ordered_by_number_not_by_column(write: Write) -> None:
    header = "\t".join(["vid_key", *(f"a{i}" for i in range(10, 0, -1)), "answer"])
    path = write("test.csv", f"{header}\nv\t" + "\t".join("jihgfedcba") + "\t9\n")
    assert read_questions(path) == [Question("v", tuple("abcdefghij"), 9)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TABLE, "a header and no rows"),
        (TABLE + "1\tv\tx\ty\t1\n2\tv\tx\ty\t2\n", r"line 3: 'answer' is 2, expected 0 to 1"),
        (TABLE + "1\tv\tx\ty\t-1\n", r"line 2: 'answer' is -1, expected 0 to 1"),
        (TABLE + "1\tv\tx\ty\tone\n", r"line 2: 'answer' is 'one', expected the index of an option, 0 to 1"),
        (TABLE + "1\tv\tx\ty\t0.0\n", r"line 2: 'answer' is '0.0'"),
        (TABLE + "1\tv\tx\ty\t²\n", r"line 2: 'answer' is '²'"),
        (TABLE + "1\tv\tx\ty\t\n", r"line 2: 'answer' is empty"),
        (TABLE + "1\tv\tx\t\t0\n", r"line 2: option 1 of 2, counted from 0, is empty"),
        (TABLE + "1\t\tx\ty\t0\n", r"line 2: 'vid_key' is empty"),
        ("vid_key\ta1\tanswer\nv\tx\t0\n", r"line 2: 1 options, expected two or more"),
        ("vid_key\ta1\ta2\nv\tx\ty\n", r"no column \['answer'\]"),
    ],
)
def test_a_damaged_table_is_refused(text: str, message: str, write: Write) -> None:
    path = write("test.csv", text)
    with pytest.raises(JsfError, match=message) as caught:
        read_questions(path)
    assert str(path) in caught.value.message


GOOD = '{"clip_name": "v", "options": ["x", "y"], "answer": 0}\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "holds no questions"),
        (GOOD + GOOD[:-9], "line 2 is not JSON: "),
        (GOOD + "[1]", "line 2 holds a JSON list, expected an object"),
        ('{"options": ["x", "y"], "answer": 0}', "line 1: 'video_id' or 'clip_name' is None"),
        ('{"clip_name": " ", "options": ["x", "y"], "answer": 0}', "line 1: 'video_id' or 'clip_name' is ' '"),
        ('{"clip_name": "v", "options": "xy", "answer": 0}', "line 1: 'options' is 'xy', expected a list"),
        ('{"clip_name": "v", "options": ["x", 2], "answer": 0}', r"line 1: 'options' is \['x', 2\]"),
        ('{"clip_name": "v", "options": ["x"], "answer": 0}', "line 1: 1 options, expected two or more"),
        ('{"clip_name": "v", "options": ["x", ""], "answer": 0}', "line 1: option 1 of 2, counted from 0, is empty"),
        ('{"clip_name": "v", "options": ["x", "y"]}', "line 1: 'answer' is None"),
        ('{"clip_name": "v", "options": ["x", "y"], "answer": true}', "line 1: 'answer' is True"),
        ('{"clip_name": "v", "options": ["x", "y"], "answer": 1.0}', "line 1: 'answer' is 1.0"),
        ('{"clip_name": "v", "options": ["x", "y"], "answer": 2}', "line 1: 'answer' is 2, expected 0 to 1"),
    ],
)
def test_damaged_json_lines_are_refused(text: str, message: str, write: Write) -> None:
    path = write("test.jsonl", text)
    with pytest.raises(JsfError, match=message) as caught:
        read_questions(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("name", ["test.jsonl", "test.csv"])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(JsfError, match=f"{re.escape(str(tmp_path / name))} does not exist"):
        read_questions(tmp_path / name)


def test_json_lines_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_bytes(b'{"clip_name": "\xff"}')
    with pytest.raises(JsfError, match="not UTF-8 text"):
        read_questions(tmp_path / "test.jsonl")


CAPTIONS = [Caption(f"v{i // 2}", f"a thing number {i}") for i in range(12)]


@given(seed=st.integers(0, 1000), options=st.integers(2, 10))
def test_sampled_questions_have_one_right_option(seed: int, options: int) -> None:
    found = sample_questions(CAPTIONS, options, seed)
    owner = {caption.sentence: caption.video_id for caption in CAPTIONS}
    assert [Caption(q.video_id, q.options[q.answer]) for q in found] == CAPTIONS
    for question in found:
        assert len(set(question.options)) == len(question.options) == options
        assert sum(owner[option] == question.video_id for option in question.options) == 1


def test_sampling_depends_on_the_seed_alone_and_spreads_the_answers() -> None:
    assert sample_questions(CAPTIONS) == sample_questions(CAPTIONS)
    assert sample_questions(CAPTIONS) != sample_questions(CAPTIONS, seed=1)
    answers = [q.answer for seed in range(50) for q in sample_questions(CAPTIONS, 5, seed)]
    assert all(0.15 < answers.count(i) / len(answers) < 0.25 for i in range(5))


def test_a_caption_that_is_true_of_the_video_in_other_letters_is_no_wrong_option() -> None:
    captions = [Caption("v", "a dog"), Caption("w", "A dog."), Caption("w", "two cats"), Caption("x", "a car")]
    for seed in range(20):
        for question in sample_questions(captions, 2, seed):
            assert len({tuple(tokenize(option)) for option in question.options}) == 2
            if question.video_id == "w":
                assert question.options[1 - question.answer] == "a car"


def test_too_few_other_captions_are_refused() -> None:
    with pytest.raises(JsfError, match=r"other than 'v' have 3 captions .* 5 options needs 4"):
        sample_questions([Caption("v", "a dog"), *(Caption("w", f"{i} cats") for i in range(3))])
