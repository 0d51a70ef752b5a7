"""The scripts behind docs/benchmarks.md start: what they measure is too slow to test."""

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = sorted(Path(__file__).parents[1].glob("benchmarks/*.py"))


@pytest.mark.parametrize("script", [path for path in SCRIPTS if "argparse" in path.read_text()], ids=lambda p: p.stem)
def test_a_script_starts(script, monkeypatch, capsys):
    """In this process, which has imported most of what the scripts do."""
    pytest.importorskip("lightning")
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert f"usage: {script.name}" in capsys.readouterr().out


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


@pytest.fixture
def clips(tmp_path):
    """(features, captions) of twelve clips of different lengths, the first with two captions."""
    from jsf.data.sequence import FeatureSequence

    lines = ["video_id,sentence", "c0,another sentence of zero"]
    for i in range(12):
        FeatureSequence(np.full((i % 3 + 1, 2), i, np.float32), extractor="toy 1").save(tmp_path / f"clips/c{i}.npz")
        lines.append(f"c{i},sentence of {i}")
    (tmp_path / "clips.csv").write_text("\n".join(lines))
    return tmp_path / "clips", tmp_path / "clips.csv"


def make_paragraphs(clips, out, *options):
    pytest.importorskip("h5py")
    script = next(path for path in SCRIPTS if path.stem == "paragraphs")
    command = [sys.executable, script, "--features", clips[0], "--captions", clips[1], "-o", out, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def read_made(out):
    """Each video by name, and the clips that it is made of, read back from its features."""
    from jsf.data.clips import Clips
    from jsf.data.paragraphs import read_paragraphs
    from jsf.data.store import open_features

    store, found = open_features(out / "features.h5"), {}
    for row in read_paragraphs(out / "paragraphs.json"):
        features = store.read(row.video_id)
        parts = Clips.of(features, row.spans).clips
        assert np.array_equal(np.concatenate(parts), features)
        assert features.dtype == np.float16
        found[row.video_id] = row, [int(part[0, 0]) for part in parts]
        for part, clip, sentence in zip(parts, found[row.video_id][1], row.sentences, strict=True):
            assert np.array_equal(part, np.full((clip % 3 + 1, 2), clip))
            assert sentence in (f"sentence of {clip}", "another sentence of zero")
            assert clip == 0 or sentence != "another sentence of zero"
    assert store.extractor == "toy 1"
    return found


def test_made_paragraphs_are_groups_and_their_distractors(clips, tmp_path):
    made = make_paragraphs(clips, tmp_path / "out", "--orders", "2", "--swaps", "2")
    assert made.returncode == 0, made.stderr
    assert made.stdout == f"{tmp_path / 'out'}: 15 videos of 4 clips\n"
    found = read_made(tmp_path / "out")
    kinds = ("", "-order-1", "-order-2", "-swap-1", "-swap-2")
    assert list(found) == [f"0000{group}{kind}" for group in range(3) for kind in kinds]
    for name, (row, made_of) in found.items():
        base_row, base = found[name[:5]]
        assert len(set(made_of)) == 4
        if "order" in name:
            assert sorted(made_of) == sorted(base)
            assert sorted(row.sentences) == sorted(base_row.sentences)
        if "swap" in name:
            assert sum(a != b for a, b in zip(made_of, base, strict=True)) == 1
    assert len({tuple(made_of) for _, made_of in found.values()}) == len(found)
    assert len({row.sentence for row, _ in found.values()}) == len(found)
    bases = [made_of for name, (_, made_of) in found.items() if len(name) == 5]
    assert sorted(clip for made_of in bases for clip in made_of) == list(range(12)), "the groups share no clip"


def test_made_paragraphs_depend_on_the_seed_alone(clips, tmp_path):
    texts = {}
    for out, seed in (("one", "1"), ("again", "1"), ("two", "2")):
        assert make_paragraphs(clips, tmp_path / out, "--count", "20", "--seed", seed).returncode == 0
        texts[out] = (tmp_path / out / "paragraphs.json").read_text()
        assert len(read_made(tmp_path / out)) == 60
    assert texts["one"] == texts["again"] != texts["two"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--clips", "13"], "12 clips are too few for videos of 13 and a swap"),
        (["--clips", "12"], "12 clips are too few for videos of 12 and a swap"),
        (["--clips", "0"], "12 clips are too few for videos of 0"),
        (["--clips", "2", "--orders", "2"], "12 clips give no '00000-order-2' that is unlike the 2 videos before it"),
        (["--features", "absent.h5"], "absent.h5 does not exist"),
    ],
)
def test_what_cannot_be_made_is_refused(options, message, clips, tmp_path):
    made = make_paragraphs(clips, tmp_path / "out", *options)
    assert made.returncode == 1
    assert message in made.stderr
    assert not (tmp_path / "out").exists()
