"""Any of the four kinds of rows, recognised by the file: captions, questions, blanks or paragraphs."""

from pathlib import Path

from jsf.data.blanks import Blank, read_blanks
from jsf.data.captions import Caption, read_captions
from jsf.data.columns import read_header
from jsf.data.paragraphs import Paragraph, read_paragraphs
from jsf.data.questions import Question, read_questions

Row = Caption | Question | Blank | Paragraph


def read_rows(path: Path) -> list[Caption] | list[Question] | list[Blank] | list[Paragraph]:
    """Reads the rows of a file, whose suffix or header says of which kind they are.

    They are paragraphs in `.json`, questions in `.jsonl` or a table with `a1`, blanks in one with `blank_sentence`,
    else captions.

    Raises:
        JsfError: the file is not what its suffix or header says; see the reader of each kind.
    """
    if path.suffix == ".json":
        return read_paragraphs(path)
    if path.suffix == ".jsonl":
        return read_questions(path)
    header = read_header(path)
    if "a1" in header:
        return read_questions(path)
    return read_blanks(path) if "blank_sentence" in header else read_captions(path)
