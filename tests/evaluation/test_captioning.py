"""The protocol with a captioner that says what it is told to, and the measures against their definitions."""

import math
import shutil
import sys
from collections import Counter

import numpy as np
import pytest

from jsf.data.captions import Caption
from jsf.data.errors import JsfError
from jsf.data.paragraphs import Paragraph
from jsf.data.sequence import FeatureSequence
from jsf.data.store import open_features
from jsf.data.text import tokenize
from jsf.evaluation.captioning import evaluate_captioning, measure_sentences

TOLD = ["a man cooks in a kitchen", "a dog is running on the grass", "two people talking", "a man runs on a lawn"]
SAID = [
    ["A man is cooking in a kitchen.", "someone cooks food"],
    ["a dog runs on the grass"],
    ["two people are talking"],
    ["a man is running, isn't he?", "a man runs on the grass"],
]


@pytest.fixture
def packages():
    """The packages of the extra `caption`."""
    pytest.importorskip("sacrebleu")
    pytest.importorskip("pycocoevalcap.cider.cider")


@pytest.fixture
def no_java(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)


class Teller:
    """Says how many steps a clip has, and the number of its first one."""

    description, extractor = "a teller", "toy 1"

    def __init__(self):
        self.calls = []

    def caption(self, videos):
        self.calls.append(len(videos))
        return [[f"{len(clip)} steps from {int(clip[0, 0])}" for clip in video.clips] for video in videos]


@pytest.fixture
def store(tmp_path):
    """Videos v0 ... v39 of ten steps, each the number of its step."""
    for i in range(40):
        FeatureSequence(np.arange(10, dtype=np.float32)[:, None], 5.0, "toy 1").save(tmp_path / f"v{i}.npz")
    return open_features(tmp_path)


def ngrams(sentence, n):
    words = tokenize(sentence)
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def bleu(found, right, order):
    """Papineni 2002: the geometric mean of clipped precisions, and the brevity penalty of the closest length."""
    logs = []
    for n in range(1, order + 1):
        clipped = total = 0
        for sentence, references in zip(found, right, strict=True):
            most = Counter()
            for reference in references:
                most |= ngrams(reference, n)
            counts = ngrams(sentence, n)
            clipped, total = clipped + (counts & most).total(), total + counts.total()
        if not clipped:
            return 0.0
        logs.append(math.log(clipped / total))
    length = sum(len(tokenize(sentence)) for sentence in found)
    closest = 0
    for sentence, references in zip(found, right, strict=True):
        ours, theirs = len(tokenize(sentence)), [len(tokenize(reference)) for reference in references]
        closest += min(theirs, key=lambda each: (abs(each - ours), each))
    return 100 * min(1.0, math.exp(1 - closest / length)) * math.exp(sum(logs) / order)


def cider(found, right):
    """Vedantam 2015, equation 3 with the clipping and the length penalty of CIDEr-D, of each clip."""
    scores = []
    for sentence, references in zip(found, right, strict=True):
        total = 0.0
        for n in range(1, 5):
            clips_with = Counter()
            for others in right:
                clips_with.update(set().union(*(ngrams(other, n) for other in others)))

            def weights(text, n=n, clips_with=clips_with):
                return {g: c * math.log(len(right) / max(1, clips_with[g])) for g, c in ngrams(text, n).items()}

            ours = weights(sentence)
            for reference in references:
                theirs = weights(reference)
                norm = math.hypot(*ours.values()) * math.hypot(*theirs.values())
                dot = sum(min(ours[g], theirs[g]) * theirs[g] for g in ours.keys() & theirs.keys())
                gap = len(tokenize(sentence)) - len(tokenize(reference))
                total += (dot / norm if norm else 0.0) * math.exp(-(gap**2) / 72) / len(references)
        scores.append(10 * total / 4)
    return 100 * np.array(scores)


def test_bleu_is_as_papineni_defines_it(packages, no_java):
    found = measure_sentences(TOLD, SAID)
    assert found.bleu == pytest.approx([bleu(TOLD, SAID, order) for order in (1, 2, 3, 4)], abs=1e-6)
    assert 100 > found.bleu[0] > found.bleu[1] > found.bleu[2] > found.bleu[3] > 0


def test_cider_is_as_vedantam_defines_it(packages, no_java):
    found, each = measure_sentences(TOLD, SAID), cider(TOLD, SAID)
    assert found.cider == pytest.approx(each.mean(), abs=1e-6)
    assert each.min() <= found.cider_interval[0] < found.cider < found.cider_interval[1] <= each.max()


def test_cider_of_a_case_by_hand(packages, no_java):
    """Two clips, no word in both: each weighs log 2, so that every n-gram counts alike and a half of them is right."""
    found = measure_sentences(["a b c d", "e f g h"], [["a b x y"], ["e f g h"]])
    half = 2 / 4 + 1 / 3 + 0 + 0
    assert found.cider == pytest.approx(100 * 10 * (half / 4 + 1) / 2)


def test_what_people_said_is_perfect(packages, no_java):
    found = measure_sentences([references[0] for references in SAID[1:3]], SAID[1:3])
    assert found.bleu == pytest.approx((100.0,) * 4)
    assert found.cider == pytest.approx(1000.0)


def test_without_java_meteor_is_not_measured(packages, no_java):
    found = measure_sentences(TOLD, SAID)
    assert found.meteor is None
    assert (found.clips, found.references, found.sentences) == (4, 6, tuple(TOLD))


METEOR = """#!/bin/sh
while read -r line; do
  echo "$line" >>"$LOG"
  case $line in
    SCORE*) echo "1.0 2.0" ;;
    EVAL*) printf '0.25\\n0.75\\n0.4\\n' ;;
  esac
done
"""
"""A stand-in for `java -jar meteor-1.5.jar - - -stdio`: the program itself reads a table for ten seconds first."""


@pytest.fixture
def java(tmp_path, monkeypatch):
    """(script) puts it first on the PATH as `java`; returns the file of the variable LOG."""

    def install(script):
        (tmp_path / "java").write_text(script)
        (tmp_path / "java").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.setenv("LOG", str(tmp_path / "log"))
        return tmp_path / "log"

    return install


def test_meteor_is_what_the_program_says_of_the_whole(packages, java):
    log = java(METEOR)
    found = measure_sentences(["A man cooks!", "two people"], [SAID[0], SAID[2]])
    assert found.meteor == pytest.approx(40.0)
    assert log.read_text().splitlines() == [
        "SCORE ||| a man is cooking in a kitchen ||| someone cooks food ||| a man cooks !",
        "SCORE ||| two people are talking ||| two people",
        "EVAL ||| 1.0 2.0 ||| 1.0 2.0",
    ]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of what is left of the package's pipe
def test_a_failing_java_is_named(packages, java):
    java("#!/bin/sh\nexit 1\n")
    with pytest.raises(JsfError, match=r"Java ended while it measured METEOR.\nIt needs 2 GB"):
        measure_sentences(TOLD, SAID)


@pytest.mark.parametrize("module", ["sacrebleu.metrics", "pycocoevalcap.cider.cider"])
def test_a_missing_package_is_named_before_anything_is_told(module, store, monkeypatch):
    for name in ("sacrebleu.metrics", "pycocoevalcap.cider.cider"):
        monkeypatch.setitem(sys.modules, name, None if name == module else sys)
    teller = Teller()
    with pytest.raises(JsfError, match=rf"'{module.split('.')[0]}', which could not be imported.*\n.*\[caption\]"):
        evaluate_captioning(teller, [Caption("v1", "one"), Caption("v2", "two")], store)
    assert teller.calls == []


def test_one_clip_is_refused(packages, no_java):
    with pytest.raises(JsfError, match="expected two clips, found 1"):
        measure_sentences(TOLD[:1], SAID[:1])


def test_a_sentence_without_words_is_refused(packages, no_java):
    with pytest.raises(JsfError, match=r"the sentence '...' has no words"):
        measure_sentences(TOLD[:2], [SAID[0], ["..."]])


def test_every_clip_is_told_of_once_and_measured_with_all_that_was_said_of_it(packages, no_java, store):
    halves = ((0.0, 0.5), (0.5, 1.0))
    rows = [
        Caption("v0", "10 steps from 0"),
        Paragraph("v1", ("5 steps from 0", "5 steps from 5"), halves),
        Caption("v0", "something else"),
        Paragraph("v1", ("a man", "a dog"), halves),
        *(Caption(f"v{i}", "10 steps from 0") for i in range(2, 40)),
    ]
    teller = Teller()
    found = evaluate_captioning(teller, rows, store)
    assert teller.calls == [32, 8]
    assert found.sentences == ("10 steps from 0", "5 steps from 0", "5 steps from 5", *["10 steps from 0"] * 38)
    assert (found.clips, found.references, found.bleu[3]) == (41, 44, pytest.approx(100.0))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "there is nothing to evaluate"),
        ([Caption("v0", "one"), Caption("w", "two")], "has no features of 'w'"),
        ([Paragraph("v0", ("one",), ((0.0, 0.5),), paired=False)], "which clip a sentence of 'v0' is about"),
    ],
)
def test_rows_that_cannot_be_told_of_are_refused(rows, said, store):
    with pytest.raises(JsfError, match=said):
        evaluate_captioning(Teller(), rows, store)


def test_features_of_another_extractor_are_refused(store):
    teller = Teller()
    teller.extractor = "another 2"
    with pytest.raises(JsfError, match="was extracted by 'toy 1'; the model was trained on 'another 2'"):
        evaluate_captioning(teller, [Caption("v0", "one")], store)
