import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jsf.data.text import tokenize


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("A man rides a horse.", ["a", "man", "rides", "a", "horse"]),
        ("SOMEONE's car won't start!", ["someone", "'s", "car", "wo", "n't", "start", "!"]),
        (
            "They've left; we're late, I'd say (they'll wait)?",
            ["they", "'ve", "left", "we", "'re", "late", ",", "i", "'d", "say", "(", "they", "'ll", "wait", ")", "?"],
        ),
        ("tic-tac & 2 dogs", ["tic", "tac", "2", "dogs"]),
        ("a\tb\nc  d", ["a", "b", "c", "d"]),
        ("'sold' signs", ["'sold'", "signs"]),
        ("café", ["caf"]),
        ("", []),
        ("... -- …", []),
    ],
)
def test_words(sentence: str, words: list[str]) -> None:
    assert tokenize(sentence) == words


def kim(sentence: str) -> list[str]:
    """The published rules one by one, on lower case: clitics get a space before them, marks one on each side."""
    sentence = re.sub(r"[^a-z0-9(),!?'`]", " ", sentence.lower())
    for clitic in ("'s", "'ve", "n't", "'re", "'d", "'ll"):
        sentence = sentence.replace(clitic, f" {clitic}")
    for mark in ",!()?":
        sentence = sentence.replace(mark, f" {mark} ")
    return sentence.split()


@given(st.text("abnstdlrve'`,!?() 0-É", max_size=30))
@example("'said' don't's ''re")
def test_agrees_with_the_published_rules(sentence: str) -> None:
    assert tokenize(sentence) == kim(sentence)


@given(st.text(max_size=60))
def test_words_are_never_empty_and_hold_no_space(sentence: str) -> None:
    assert all(word and not re.search(r"\s", word) for word in tokenize(sentence))
