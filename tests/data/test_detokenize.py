import pytest
from hypothesis import given
from hypothesis import strategies as st

from jsf.data.detokenize import detokenize
from jsf.data.text import tokenize

WORDS = st.sampled_from(["man", "n't", "'s", "'ll", "s'", "'", "ca", "n", "'t", ",", "!", "?", "(", ")", "40", "x'd"])


@pytest.mark.parametrize(
    "sentence",
    ["a man's dog can't run, or won't!", "they'll cook (slowly), i've heard", "is it red?", "a red circle"],
)
def test_sentences_are_written_as_they_were(sentence):
    assert detokenize(tokenize(sentence)) == sentence


@given(st.text("abn'tsrevld,!?() ", max_size=30) | st.lists(WORDS).map(" ".join))
def test_the_words_stay_the_same(sentence):
    words = tokenize(sentence)
    assert tokenize(detokenize(words)) == words
