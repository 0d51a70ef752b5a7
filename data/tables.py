"""Any of the three kinds of rows, recognised by the file: captions, questions or blanks."""

from pathlib import Path

from jsf.data.blanks import Blank, read_blanks
from jsf.data.captions import Caption, read_captions
from jsf.data.columns import read_header
from jsf.data.questions import Question, read_questions

Row = Caption | Question | Blank


def read_rows(path: Path) -> list[Caption] | list[Question] | list[Blank]:
    """Reads questions from `.jsonl` or a table with `a1`, blanks from one with `blank_sentence`, else captions.

    Raises:
        JsfError: the file is not what its suffix or header says; see the reader of each kind.
    """
    if path.suffix == ".jsonl":
        return read_questions(path)
    header = read_header(path)
    if "a1" in header:
        return read_questions(path)
    return read_blanks(path) if "blank_sentence" in header else read_captions(path)
