"""Words to sentences: what `tokenize` cut off is put back."""

import re
from collections.abc import Iterable

_ATTACHED = re.compile(r" (?=(?:n't|'(?:s|ve|re|d|ll)|[,!?)])(?: |$))|(?<=\() ")


def detokenize(words: Iterable[str]) -> str:
    """The sentence that `tokenize` splits into these words: clitics and marks stand where they are written."""
    return _ATTACHED.sub("", " ".join(words))
