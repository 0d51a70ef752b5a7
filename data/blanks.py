"""Fill-in-the-blank sentences: a video and a sentence about it in which one word is missing."""

import re
import zlib
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from jsf.data.captions import Caption
from jsf.data.columns import read_table
from jsf.data.errors import JsfError
from jsf.data.text import tokenize

BLANK = "_____"
"""Stands for the missing word, as in LSMDC; two or more underscores are read as it."""

_BLANK = re.compile("_{2,}")

FUNCTION_WORDS = frozenset(
    tokenize(
        "a about above across after against all along also an and another any are around as at away back be been "
        "before behind being below beside between both but by can could did do does down each for from had has have "
        "he her here hers herself him himself his how i if in inside into is it its itself just me more most my near "
        "next no not of off on one onto or other others our out outside over own past she should so some something "
        "someone than that the their them themselves then there these they this those through to together too toward "
        "towards two under up upon us very was we were what when where which while who whose will with would you your "
        "am s t re ll ve"  # the last five: clitics in captions that lost their apostrophes
    )
)
"""Words that carry no content of their own: `make_blanks` leaves them in place."""


@dataclass(frozen=True)
class Blank:
    """A sentence with one `BLANK` about a video; `answer` is the missing word, in lower case."""

    video_id: str
    sentence: str
    answer: str

    @property
    def filled(self) -> str:
        """The sentence with its answer in place: what the vocabulary is built from."""
        return self.sentence.replace(BLANK, self.answer)


def split_at_blank(sentence: str) -> tuple[str, str]:
    """What stands before and after the one blank of a sentence.

    Raises:
        JsfError: it has none, or more than one.
    """
    parts = _BLANK.split(sentence)
    if len(parts) != 2:
        raise JsfError(
            f"{sentence!r} has {len(parts) - 1 or 'no'} blank{'s' if len(parts) > 2 else ''}, expected one.",
            f"Put {BLANK} in the place of one word.",
        )
    return parts[0], parts[1]


def read_blanks(path: Path) -> list[Blank]:
    """Reads a table with `vid_key` or `video_id`, `blank_sentence` and `answer`, as the authors' for LSMDC is.

    Where the table has the whole `sentence` too, it must hold the answer. Of an answer that is several words to
    `tokenize`, such as "doesn't", the first counts, as in the authors' code.

    Raises:
        JsfError: the file is missing or damaged, a field is empty, a sentence has no blank or several, or the answer
            is no word or not in the sentence; the message names the line.
    """
    rows = read_table(path, ("video_id|vid_key", "blank_sentence", "answer"))
    return [_blank(place, row) for place, row in rows]


def _blank(place: str, row: dict[str, str]) -> Blank:
    try:
        left, right = split_at_blank(row["blank_sentence"])
    except JsfError as error:
        raise JsfError(f"{place}: {error.message}", error.fix) from error
    answer = next(iter(tokenize(row["answer"])), "")
    if not answer.strip("(),!?'`"):
        raise JsfError(f"{place}: 'answer' is {row['answer']!r}, expected a word.")
    if row.get("sentence") and answer not in tokenize(row["sentence"]):
        raise JsfError(f"{place}: the answer '{answer}' is not in the sentence {row['sentence']!r}.")
    return Blank(row["video_id"], left + BLANK + right, answer)


def make_blanks(captions: list[Caption], known: Container[str], seed: int = 0) -> list[Blank]:
    """Blanks one content word of each caption: one that is `known` and not among `FUNCTION_WORDS`.

    Which one depends on the seed, the video and the sentence alone. A caption without such a word is left out.

    Raises:
        JsfError: no caption has one.
    """
    blanks = [blank for caption in captions if (blank := _make_blank(caption, known, seed))]
    if not blanks:
        raise JsfError(f"none of {len(captions):,} captions has a content word of the vocabulary to blank.")
    return blanks


def every_blank(caption: Caption, known: Container[str]) -> list[Blank]:
    """One blank for each content word of a caption that is `known`: what there is to train on."""
    words = tokenize(caption.sentence)
    places = [i for i, word in enumerate(words) if word.isalpha() and word not in FUNCTION_WORDS and word in known]
    return [Blank(caption.video_id, " ".join([*words[:i], BLANK, *words[i + 1 :]]), words[i]) for i in places]


def _make_blank(caption: Caption, known: Container[str], seed: int) -> Blank | None:
    blanks = every_blank(caption, known)
    mark = zlib.crc32(f"{seed}\n{caption.video_id}\n{caption.sentence}".encode())
    return blanks[mark % len(blanks)] if blanks else None
