"""Sentences to words, by the cleaning of Kim's sentence CNN that the authors use."""

import re

_SPLIT = re.compile(r"[^a-z0-9(),!?'`]+")
_CLITIC = re.compile(r"n't|'(?:s|ve|re|d|ll)")
_MARK = re.compile(r"[(),!?]")


def tokenize(sentence: str) -> list[str]:
    """Lower-case words; clitics ('s, n't) are cut off what precedes them, and the marks , ! ? ( ) stand alone.

    Source: Kim 2014 (`clean_str`), as in the authors' code.
    """
    cleaned = _SPLIT.sub(" ", sentence.lower())
    return _MARK.sub(r" \g<0> ", _CLITIC.sub(r" \g<0>", cleaned)).split()
