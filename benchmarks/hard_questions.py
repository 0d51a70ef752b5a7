"""Harder multiple choice from captions whose words have fixed places, such as GRID's "bin blue at f two now".

Usage: python benchmarks/hard_questions.py val.csv -o questions [--rounds 3]

Writes one-word.jsonl, where the wrong sentences differ from the true one in one word, and two-words.jsonl, where they
differ in two; each new word stands at the same place in another clip's caption. A question a caption and round.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from jsf.data.captions import Caption, read_captions
from jsf.data.files import replacing
from jsf.data.text import tokenize

OPTIONS, ATTEMPTS = 5, 10_000


def main() -> None:
    """Writes both files."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("captions", type=Path)
    options.add_argument("-o", "--out", type=Path, required=True, help="folder of the two files")
    options.add_argument("--rounds", type=int, default=3, help="questions a caption")
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    captions = read_captions(chosen.captions)
    for name, changed in (("one-word", 1), ("two-words", 2)):
        random = np.random.default_rng([chosen.seed, changed])
        lines = [question(caption, captions, changed, random) for _ in range(chosen.rounds) for caption in captions]
        path = chosen.out / f"{name}.jsonl"
        with replacing(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in lines))
        print(f"{path}: {len(lines)} questions")


def question(caption: Caption, captions: list[Caption], changed: int, random: np.random.Generator) -> dict[str, object]:
    """A caption among sentences in which `changed` words are those of other clips' captions at the same places."""
    true = tokenize(caption.sentence)
    wrong: dict[str, None] = {}
    for _ in range(ATTEMPTS):
        sentence = list(true)
        for place in random.choice(len(true), min(changed, len(true)), replace=False):
            other = tokenize(captions[random.integers(len(captions))].sentence)
            if place < len(other):
                sentence[place] = other[place]
        if sum(a != b for a, b in zip(sentence, true, strict=True)) == changed:
            wrong[" ".join(sentence)] = None
        if len(wrong) == OPTIONS - 1:
            break
    else:
        raise SystemExit(f"{caption.sentence!r} has too few other words at its places for {OPTIONS} options.")
    options, answer = list(wrong), int(random.integers(OPTIONS))
    options.insert(answer, " ".join(true))
    return {"video_id": caption.video_id, "options": options, "answer": answer}


if __name__ == "__main__":
    main()
