"""Multiple-choice questions: a video and sentences of which one describes it."""

import json
import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsf.data.captions import Caption
from jsf.data.columns import read_table
from jsf.data.errors import JsfError
from jsf.data.text import tokenize


@dataclass(frozen=True)
class Question:
    """A video and its options; `answer` is the index, from 0, of the option that describes it."""

    video_id: str
    options: tuple[str, ...]
    answer: int


def read_questions(path: Path) -> list[Question]:
    """Reads the authors' table or the public MSR-VTT file, as the suffix says.

    A table has `vid_key` or `video_id`, the options `a1`, `a2`, ... and `answer`, from 0. In `.jsonl` each line is an
    object with `clip_name` or `video_id`, a list `options`, and `answer`.

    Raises:
        JsfError: the file is missing or damaged, a field is empty, a question has fewer than two options, or its
            answer is not the index of one; the message names the line.
    """
    return _read_lines(path) if path.suffix == ".jsonl" else _read_table(path)


def _read_table(path: Path) -> list[Question]:
    rows = read_table(path, ("video_id|vid_key", "answer"))
    names = sorted((name for name in rows[0][1] if re.fullmatch(r"a\d+", name)), key=lambda name: int(name[1:]))
    return [_question(place, row["video_id"], [row[name] for name in names], row["answer"]) for place, row in rows]


def _read_lines(path: Path) -> list[Question]:
    if not path.is_file():
        raise JsfError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.", _LINE)
    questions = []
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    questions.append(_parse(f"{path}, line {number}", line))
    except UnicodeDecodeError as error:
        raise JsfError(f"{path} is not UTF-8 text: {error}.") from error
    if not questions:
        raise JsfError(f"{path} holds no questions.", _LINE)
    return questions


_LINE = 'Expected a question a line: {"clip_name": "video7010", "options": ["a man sings", "a dog"], "answer": 0}'


def _parse(place: str, line: str) -> Question:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JsfError(f"{place} is not JSON: {getattr(error, 'msg', error)}.", _LINE) from error
    if not isinstance(value, dict):
        raise JsfError(f"{place} holds a JSON {type(value).__name__}, expected an object.", _LINE)
    video_id, options, answer = value.get("video_id", value.get("clip_name")), value.get("options"), value.get("answer")
    if not isinstance(video_id, str) or not video_id.strip():
        raise JsfError(f"{place}: 'video_id' or 'clip_name' is {video_id!r}, expected the name of a video.", _LINE)
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise JsfError(f"{place}: 'options' is {options!r}, expected a list of sentences.", _LINE)
    return _question(place, video_id.strip(), [" ".join(option.split()) for option in options], answer)


def _question(place: str, video_id: str, options: list[str], answer: Any) -> Question:
    """A checked question; `answer` is an integer or, as in the published files, its digits."""
    if len(options) < 2:
        raise JsfError(f"{place}: {len(options)} options, expected two or more.")
    if "" in options:
        raise JsfError(f"{place}: option {options.index('')} of {len(options)}, counted from 0, is empty.")
    if not re.fullmatch(r"-?[0-9]{1,9}", str(answer)):
        raise JsfError(f"{place}: 'answer' is {answer!r}, expected the index of an option, 0 to {len(options) - 1}.")
    if not 0 <= int(answer) < len(options):
        raise JsfError(f"{place}: 'answer' is {answer}, expected 0 to {len(options) - 1}: indices count from 0.")
    return Question(video_id, tuple(options), int(answer))


def sample_questions(captions: list[Caption], options: int = 5, seed: int = 0) -> list[Question]:
    """One question a caption; its wrong options are captions of other videos.

    They differ from each other and from every caption of the video in their words, so that exactly one is right.

    Raises:
        JsfError: the other videos have too few different captions.
    """
    owners: dict[str, set[str]] = defaultdict(set)
    words: dict[str, set[str]] = defaultdict(set)
    sentences: dict[str, str] = {}
    for caption in captions:
        key = " ".join(tokenize(caption.sentence))
        owners[key].add(caption.video_id)
        words[caption.video_id].add(key)
        sentences.setdefault(key, caption.sentence)
    keys, generator = list(sentences), random.Random(seed)
    questions = []
    for caption in captions:
        if (others := len(keys) - len(words[caption.video_id])) < options - 1:
            raise JsfError(
                f"the videos other than '{caption.video_id}' have {others} captions of their own; "
                f"a question of {options} options needs {options - 1}."
            )
        wrong: dict[str, None] = {}
        while len(wrong) < options - 1:
            key = generator.choice(keys)
            if caption.video_id not in owners[key]:
                wrong[key] = None
        answer = generator.randrange(options)
        texts = [sentences[key] for key in wrong]
        questions.append(Question(caption.video_id, (*texts[:answer], caption.sentence, *texts[answer:]), answer))
    return questions
