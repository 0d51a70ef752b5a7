"""Rows of a table as the rows that a task needs."""

from collections.abc import Sequence

from jsf.data.blanks import Blank, make_blanks
from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.questions import Question, sample_questions
from jsf.data.tables import Row
from jsf.data.task_names import EMBEDDING, FILLS
from jsf.data.vocabulary import Vocabulary


def as_captions(rows: Sequence[Row], source: str) -> list[Caption]:
    """The rows, which are captions; raises JsfError naming `source` otherwise."""
    captions = [row for row in rows if isinstance(row, Caption)]
    if not captions:
        raise _wrong(rows, source, "captions")
    return captions


def as_texts(rows: Sequence[Row], source: str) -> list[Caption] | list[Paragraph]:
    """The rows, which are captions or paragraphs; raises JsfError naming `source` otherwise."""
    return [row for row in rows if isinstance(row, Paragraph)] or as_captions(rows, source)


def as_questions(rows: Sequence[Row], source: str) -> list[Question]:
    """The rows, which are questions, or five-option questions sampled from captions; raises JsfError otherwise."""
    if captions := [row for row in rows if isinstance(row, Caption)]:
        return sample_questions(captions)
    questions = [row for row in rows if isinstance(row, Question)]
    if not questions:
        raise _wrong(rows, source, "questions or captions")
    return questions


def as_blanks(rows: Sequence[Row], known: set[str], source: str) -> list[Blank]:
    """The rows, which are blanks, or captions of which one `known` word each is blanked; raises JsfError otherwise."""
    if captions := [row for row in rows if isinstance(row, Caption)]:
        return make_blanks(captions, known)
    blanks = [row for row in rows if isinstance(row, Blank)]
    if not blanks:
        raise _wrong(rows, source, "blanks or captions")
    return blanks


def as_rows(rows: Sequence[Row], task: str, known: set[str], source: str) -> Sequence[Row]:
    """The rows that a task needs, or made of captions for it; raises JsfError naming `source` otherwise."""
    if task == EMBEDDING:
        return as_texts(rows, source)
    if task == "retrieval":
        return as_captions(rows, source)
    return as_questions(rows, source) if task == "multiple-choice" else as_blanks(rows, known, source)


def known_words(rows: Sequence[Row], source: str) -> set[str]:
    """The vocabulary of training captions or blanks: the words that may be blanked."""
    sentences = [
        row.filled if isinstance(row, Blank) else row.sentence for row in rows if not isinstance(row, Question)
    ]
    if not sentences:
        raise _wrong(rows, source, "blanks or captions")
    return set(Vocabulary.build(sentences).words)


def first_captions(captions: list[Caption]) -> list[Caption]:
    """One caption a video, the first: a gallery like that of a test list with one caption each."""
    first: dict[str, Caption] = {}
    for caption in captions:
        first.setdefault(caption.video_id, caption)
    return list(first.values())


def _wrong(rows: Sequence[Row], source: str, wanted: str) -> JsfError:
    found, task = f"{source} holds {type(rows[0]).__name__.lower()}s", FILLS
    if isinstance(rows[0], Paragraph):
        return JsfError(f"{found}; this model and task need {wanted}.", "Paragraphs are for retrieval by fse or hse.")
    if isinstance(rows[0], Question):
        task = "multiple-choice"
    return JsfError(f"{found}; this task needs {wanted}.", f"Name such a table, or the task of this one: --task {task}")
