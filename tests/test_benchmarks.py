"""The scripts behind docs/benchmarks.md start: what they measure is too slow to test."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = sorted(Path(__file__).parents[1].glob("benchmarks/*.py"))


@pytest.mark.parametrize("script", [path for path in SCRIPTS if "argparse" in path.read_text()], ids=lambda p: p.stem)
def test_a_script_starts(script):
    pytest.importorskip("lightning")
    shown = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "usage:" in shown.stdout


def test_hard_questions_differ_from_the_caption_in_as_many_words_as_they_say(tmp_path):
    captions = tmp_path / "val.csv"
    lines = ["a,bin blue at f two now", "b,lay red by g one soon", "c,set white with h six again"]
    captions.write_text("video_id,sentence\n" + "\n".join(lines) + "\n")
    script = next(path for path in SCRIPTS if path.stem == "hard_questions")
    subprocess.run([sys.executable, script, captions, "-o", tmp_path], check=True, capture_output=True)
    from jsf.data.questions import read_questions

    true = dict(line.split(",") for line in lines)
    for name, changed in (("one-word", 1), ("two-words", 2)):
        questions = read_questions(tmp_path / f"{name}.jsonl")
        assert len(questions) == 9
        for question in questions:
            assert question.options[question.answer] == true[question.video_id]
            words = [option.split() for option in question.options]
            different = [sum(a != b for a, b in zip(w, words[question.answer], strict=True)) for w in words]
            assert sorted(different) == [0] + [changed] * 4
