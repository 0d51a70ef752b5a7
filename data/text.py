"""Sentences to words, by the cleaning of Kim's sentence CNN that the authors use."""

import re

_SPLIT = re.compile(r"[^a-z0-9(),!?'`]+")
_APART = re.compile(r"n't|'(?:s|ve|re|d|ll)|[(),!?]")


def tokenize(sentence: str) -> list[str]:
    """Lower-case words; clitics ('s, n't) and the marks , ! ? ( ) stand alone.

    Source: Kim 2014 (`clean_str`), as in the authors' code.
    """
    return _APART.sub(lambda match: f" {match[0]} ", _SPLIT.sub(" ", sentence.lower())).split()
