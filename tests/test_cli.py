"""The command line as a user sees it: results on standard output, all else on standard error, never a traceback."""

import csv
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import av
import h5py
import numpy as np
import onnx
import pytest

from jsf.cli import app
from jsf.data.files import sha256
from jsf.data.sequence import FeatureSequence
from jsf.data.vocabulary import Vocabulary
from jsf.extraction import DEFAULT
from jsf.extraction.audio import LogMel
from jsf.extraction.spec import ExtractorSpec
from jsf.models.checkpoint import Checkpoint
from jsf.runtime.bundle import Bundle
from jsf.runtime.scorer import Scorer

SENTENCE = "a red circle then a blue square"
CAPTIONS = [("v0", "a red circle"), ("v1", "blue square, then rings"), ("v2", SENTENCE), ("v0", "a square while rings")]
VERBS = [command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands]


@pytest.fixture
def jsf(cli, monkeypatch):
    """Runs `jsf ...`, as `cli`, in a terminal that is wide enough for every line."""
    monkeypatch.setenv("COLUMNS", "160")
    return cli


@pytest.fixture
def bundle(jsf, tiny_bundle, monkeypatch):
    """The tiny bundle, found through $JSF_BUNDLE."""
    monkeypatch.setenv("JSF_BUNDLE", str(tiny_bundle))
    return tiny_bundle


@pytest.fixture
def data(jsf, tmp_path):
    """v0.npz, v1.npz, v2.npz and the same in features.h5; narrow.npz, other.npz and captions.csv."""
    random = np.random.default_rng(0)
    with h5py.File(tmp_path / "features.h5", "w") as store:
        store.attrs["extractor"] = "toy 1"
        for i, length in enumerate((5, 40, 90)):
            features = random.standard_normal((length, 12)).astype(np.float32)
            store[f"v{i}"] = features
            FeatureSequence(features, 5, "toy 1").save(tmp_path / f"v{i}.npz")
    FeatureSequence(np.ones((3, 7), np.float32)).save(tmp_path / "narrow.npz")
    FeatureSequence(np.ones((3, 12), np.float32), 5, "toy 2").save(tmp_path / "other.npz")
    with (tmp_path / "captions.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("video_id", "sentence"), *CAPTIONS])
    return tmp_path


class TestHelp:
    """What is there, and how it is called."""

    def test_all_verbs_are_listed(self, jsf):
        shown = jsf("--help")
        assert shown.status == 0
        assert {"demo", "extract", "train", "evaluate", "export", "build-engine", "inspect", "doctor", "score"} <= set(
            VERBS
        )
        assert {"choose", "fill", "import-checkpoint"} <= set(VERBS)
        assert set(VERBS) <= set(re.findall(r"[\w-]+", shown.out))

    @pytest.mark.parametrize("verb", VERBS)
    def test_every_option_is_explained(self, jsf, verb):
        shown = jsf(verb, "-h")
        assert shown.status == 0
        assert f" {verb} [OPTIONS]" in shown.out
        options = re.findall(r"^[│ ]*\*? *(--[\w-]+.*?)│?$", shown.out, re.MULTILINE)
        assert len(options) > 1
        assert all(len(re.findall(r"[a-z]{2,}", option)) > 3 for option in options)

    @pytest.mark.parametrize(
        ("arguments", "named"), [(["export"], "--ckpt"), (["import-checkpoint", "x.npz"], "--vocabulary")]
    )
    def test_a_missing_option_is_named(self, jsf, arguments, named):
        shown = jsf(*arguments)
        assert shown.status == 2
        assert f"Missing option '{named}'" in shown.err

    def test_an_unknown_verb_is_named(self, jsf):
        shown = jsf("retrain")
        assert shown.status == 2
        assert "No such command 'retrain'" in shown.err


class TestScore:
    """`jsf score`."""

    def test_one_video_gives_a_number(self, jsf, bundle, data):
        shown = jsf("score", "v0.npz", SENTENCE)
        assert shown.status == 0
        assert float(shown.out) == pytest.approx(Scorer.load(bundle).score("v0.npz", SENTENCE), abs=1e-4)
        assert re.fullmatch(r"scoring with onnxruntime [\d.]+ on cpu, fp32\n", shown.err)

    def test_several_videos_give_a_ranked_table(self, jsf, bundle, data):
        shutil.copy("v0.npz", "v0 [dQw4w9].npz")
        names = ["v0.npz", "v1.npz", "v2.npz", "v0 [dQw4w9].npz", "features.h5#v1"]
        shown = jsf("score", *names, SENTENCE)
        rows = re.findall(r"│ (.+?) *│ +(-?\d+\.\d{4}) │ +(\d) │", shown.out)
        assert {name for name, *_ in rows} == set(names)
        assert [int(rank) for *_, rank in rows] == [1, 2, 3, 4, 5]
        scores = [float(score) for _, score, _ in rows]
        assert scores == sorted(scores, reverse=True)
        assert scores[0] > scores[-1]
        scorer = Scorer.load(bundle)
        assert scores == pytest.approx([scorer.score(name, SENTENCE) for name, *_ in rows], abs=1e-4)

    def test_markup_in_a_sentence_is_text(self, jsf, bundle, data):
        shown = jsf("score", "v0.npz", "v1.npz", "a [/red] circle [bold]")
        assert shown.status == 0
        assert '"a [/red] circle [bold]"' in shown.out
        assert "left out: bold" in shown.err

    def test_unknown_words_are_named_beside_the_result(self, jsf, bundle, data):
        shown = jsf("score", "v0.npz", "a purple circle danced")
        assert "words that the model does not know are left out: purple, danced\n" in shown.err
        assert shown.out == jsf("score", "v0.npz", "a circle").out

    def test_json_is_all_of_standard_output(self, jsf, bundle, data):
        shown = jsf("score", "v0.npz", "v1.npz", "a purple circle", "--json")
        result = json.loads(shown.out)
        assert set(result) == {"sentence", "backend", "scores", "failed"}
        assert result["sentence"] == "a purple circle"
        scorer = Scorer.load(bundle)
        expected = {name: scorer.score(name, "a circle") for name in ("v0.npz", "v1.npz")}
        assert {row["video"]: row["score"] for row in result["scores"]} == pytest.approx(expected, abs=1e-5)
        assert result["scores"][0]["score"] > result["scores"][1]["score"]
        assert result["failed"] == []

    def test_one_bad_video_does_not_hide_the_others(self, jsf, bundle, data):
        videos = ["v0.npz", "gone.npz", "narrow.npz", "v1.npz", "other.npz"]
        shown = jsf("score", *videos, SENTENCE)
        assert shown.status == 1
        assert set(re.findall(r"│ (\w+\.npz)", shown.out)) == {"v0.npz", "v1.npz"}
        assert "error: 3 of 5 videos could not be scored:\n" in shown.err
        assert "  gone.npz: gone.npz does not exist." in shown.err
        assert "  narrow.npz: narrow.npz has features 7 wide; the model takes 12." in shown.err
        assert "  other.npz: other.npz was extracted by 'toy 2'" in shown.err

        shown = jsf("score", *videos, SENTENCE, "--json")
        assert shown.status == 1
        result = json.loads(shown.out)
        assert {row["video"] for row in result["scores"]} == {"v0.npz", "v1.npz"}
        assert [row["video"] for row in result["failed"]] == ["gone.npz", "narrow.npz", "other.npz"]

    def test_the_bundle_is_found_in_the_folder_or_named(self, jsf, tiny_bundle, data):
        named = jsf("score", "v0.npz", SENTENCE, "--bundle", tiny_bundle)
        shutil.copytree(tiny_bundle, "bundle")
        assert named.status == 0
        assert jsf("score", "v0.npz", SENTENCE).out == named.out


class TestScorePairs:
    """`jsf score --pairs`."""

    ARGUMENTS = ("score", "--pairs", "captions.csv", "--features", "features.h5", "-o", "out/scores.csv")

    def test_every_row_gets_its_score(self, jsf, bundle, data):
        shown = jsf(*self.ARGUMENTS)
        assert (shown.status, shown.out) == (0, "4 scores in out/scores.csv\n")
        with Path("out/scores.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["video_id", "sentence", "score"]
        assert [tuple(row[:2]) for row in rows] == CAPTIONS
        expected = Scorer.load(bundle).score_pairs([(f"{name}.npz", sentence) for name, sentence in CAPTIONS])
        assert [float(row[2]) for row in rows] == pytest.approx(expected.tolist(), abs=1e-5)

    def test_json(self, jsf, bundle, data):
        result = json.loads(jsf(*self.ARGUMENTS, "--json").out)
        assert (result["pairs"], result["scores"]) == (4, "out/scores.csv")
        assert "onnxruntime" in result["backend"]

    @pytest.mark.parametrize(
        "arguments",
        [
            ARGUMENTS[:-2],
            (*ARGUMENTS[:3], *ARGUMENTS[5:]),
            ("score", *ARGUMENTS[3:]),
            (*ARGUMENTS, "v0.npz", SENTENCE),
            ("score", "v0.npz", SENTENCE, "-o", "scores.csv"),
        ],
        ids=["no -o", "no --features", "no --pairs", "with videos", "-o alone"],
    )
    def test_its_options_go_together(self, jsf, bundle, data, arguments):
        shown = jsf(*arguments)
        assert shown.status == 1
        assert "--pairs, --features and -o go together" in shown.err
        assert "jsf score --pairs pairs.csv --features features.h5 -o scores.csv" in shown.err


OPTIONS = ("blue square, then rings", SENTENCE, "a circle")


class TestChoose:
    """`jsf choose`, with a bundle for retrieval and one for multiple choice."""

    @pytest.fixture(params=["retrieval", "multiple-choice"])
    def root(self, request, tiny_bundle, variant_bundle):
        return tiny_bundle if request.param == "retrieval" else variant_bundle("official", "multiple-choice")

    def test_the_chosen_sentence_is_first(self, jsf, data, root):
        shown = jsf("choose", "v1.npz", *OPTIONS, "--bundle", root)
        assert shown.status == 0
        assert shown.out.startswith("v1.npz")
        rows = re.findall(r"│ (.+?) *│ +(-?\d+\.\d{4}) │ +(\d) │", shown.out)
        scorer = Scorer.load(root)
        expected = sorted(((scorer.score("v1.npz", text), text) for text in OPTIONS), reverse=True)
        assert [text for text, *_ in rows] == [text for _, text in expected]
        assert [float(score) for _, score, _ in rows] == pytest.approx([score for score, _ in expected], abs=1e-4)
        assert [rank for *_, rank in rows] == ["1", "2", "3"]

    def test_json(self, jsf, data, root):
        shown = jsf("choose", "features.h5#v1", *OPTIONS[:2], "--bundle", root, "--json")
        result = json.loads(shown.out)
        assert set(result) == {"video", "backend", "chosen", "scores"}
        first, second = result["scores"]
        assert result["chosen"] == first["sentence"]
        assert {first["sentence"], second["sentence"]} == set(OPTIONS[:2])
        assert first["score"] > second["score"]

    def test_unknown_words_are_named_once(self, jsf, bundle, data):
        shown = jsf("choose", "v0.npz", "a purple circle", "a purple square danced")
        assert "words that the model does not know are left out: purple, danced\n" in shown.err


class TestFill:
    """`jsf fill`."""

    FILL = ("fill", "v1.npz", "a red _____ then rings")

    @pytest.fixture
    def root(self, variant_bundle):
        return variant_bundle("official", "fill-in-the-blank")

    def test_five_words_with_their_probabilities(self, jsf, data, root):
        shown = jsf(*self.FILL, "--bundle", root)
        assert shown.status == 0
        assert shown.out.startswith('"a red _____ then rings"')
        rows = re.findall(r"│ (\S+) *│ +(\d+\.\d) % │", shown.out)
        expected = Scorer.load(root).fill("v1.npz", "a red _____ then rings")
        assert [word for word, _ in rows] == [word for word, _ in expected]
        assert len(rows) == 5
        assert [float(share) for _, share in rows] == pytest.approx([100 * share for _, share in expected], abs=0.06)

    def test_json(self, jsf, data, root):
        result = json.loads(jsf(*self.FILL, "--bundle", root, "--json", "--top", 99).out)
        assert set(result) == {"video", "sentence", "backend", "words"}
        assert {row["word"] for row in result["words"]} == {
            "red",
            "blue",
            "circle",
            "square",
            "then",
            "a",
            "while",
            "rings",
        }
        assert sum(row["probability"] for row in result["words"]) == pytest.approx(1)
        assert len(json.loads(jsf(*self.FILL, "--bundle", root, "--json", "--top", 2).out)["words"]) == 2

    def test_unknown_words_are_named(self, jsf, data, root):
        shown = jsf("fill", "v0.npz", "a purple __ danced", "--bundle", root)
        assert "words that the model does not know are left out: purple, danced\n" in shown.err
        assert shown.out.splitlines()[1:] == jsf("fill", "v0.npz", "a _____", "--bundle", root).out.splitlines()[1:]


class TestImportCheckpoint:
    """`jsf import-checkpoint`."""

    IMPORT = ("import-checkpoint", "weights.npz", "--vocabulary", "words.txt", "-o", "run/best.pt")

    @pytest.fixture
    def weights(self, jsf, official_variables):
        np.savez("weights.npz", **official_variables("fill-in-the-blank"), global_step=np.int64(7))
        Path("words.txt").write_text("<pad>\n<blank>\nred\nblue\ncircle\nsquare\nthen\na\nrings\n")

    def test_it_says_what_it_found(self, jsf, weights):
        shown = jsf(*self.IMPORT)
        assert (shown.status, shown.err) == (0, "")
        assert shown.out == "run/best.pt: fill-in-the-blank, features 17 wide, joint width 8, 8 words\n"
        checkpoint = Checkpoint.load(Path("run/best.pt"))
        assert checkpoint.vocabulary.words == ("_____", "red", "blue", "circle", "square", "then", "a", "rings")
        assert checkpoint.model.config.preset == "official"

    def test_json(self, jsf, weights):
        assert json.loads(jsf(*self.IMPORT, "--json").out) == {
            "checkpoint": "run/best.pt",
            "task": "fill-in-the-blank",
            "features": 17,
            "joint": 8,
            "words": 8,
        }

    def test_a_list_that_does_not_fit_leaves_nothing(self, jsf, weights):
        Path("words.txt").write_text("red\nblue\n")
        shown = jsf(*self.IMPORT)
        assert shown.status == 1
        assert "words.txt has 2 lines, expected 9" in shown.err
        assert not Path("run").exists()


class TestEvaluate:
    """`jsf evaluate`."""

    ARGUMENTS = ("evaluate", "--features", "features.h5", "--captions", "captions.csv")

    def test_a_checkpoint_and_its_bundle_give_the_same_numbers(self, jsf, bundle, data, tiny_checkpoint):
        results = [
            json.loads(jsf(*self.ARGUMENTS, "--json", *more).out) for more in ((), ("--ckpt", str(tiny_checkpoint)))
        ]
        assert ["onnxruntime" in result.pop("backend") for result in results] == [True, False]
        assert results[0] == results[1]
        assert results[0]["protocol"] == "captions.csv: 3 videos, 1.33 captions each"
        found = results[0]["text_to_video"]
        assert (found["queries"], found["gallery"]) == (4, 3)
        assert results[0]["video_to_text"]["gallery"] == 4
        scores = Scorer.load(bundle).score_matrix([f"v{i}.npz" for i in range(3)], [s for _, s in CAPTIONS])
        ranks = [1 + (scores[:, j] > scores[int(name[1]), j]).sum() for j, (name, _) in enumerate(CAPTIONS)]
        assert found["mean_rank"] == pytest.approx(np.mean(ranks))

    def test_a_table_beside_chance(self, jsf, bundle, data):
        shown = jsf(*self.ARGUMENTS)
        assert shown.status == 0
        assert shown.out.startswith("captions.csv: 3 videos, 1.33 captions each; ties averaged")
        assert re.search(r"-> video +┃ +95% +┃ +chance +┃ +sentence", shown.out)
        number, between = r" +\d+\.\d │", r" +\d+\.\d–\d+\.\d │"
        (chances,) = re.findall(rf"│ R@1 +│{number}{between} +(\d+\.\d) │{number}{between} +(\d+\.\d) │", shown.out)
        assert chances[0] == "33.3"

    def test_the_protocol_says_what_was_made_of_captions(self, jsf, bundle, data):
        rows = "".join(f"v{i},{word} {'circle ' * (i + 1)}\n" for i in range(3) for word in ("red", "blue", "square"))
        Path("nine.csv").write_text(f"video_id,sentence\n{rows}")
        arguments = ("evaluate", "--features", "features.h5", "--captions", "nine.csv", "--task", "multiple-choice")
        found = json.loads(jsf(*arguments, "--json").out)
        assert found["protocol"] == "nine.csv: 9 questions of 5 options, made of its captions"
        assert found["questions"] == 9

    def test_one_at_a_time(self, jsf, bundle, data, tiny_checkpoint):
        shown = jsf(*self.ARGUMENTS, "--ckpt", tiny_checkpoint, "--bundle", bundle)
        assert shown.status == 1
        assert "--ckpt and --bundle were both given" in shown.err


@pytest.fixture
def extractor(jsf, tmp_path):
    """An extractor of 12 numbers a frame in the user's cache, in the place of the default one; its identity."""
    folder = tmp_path / "cache" / "jsf" / "extractors" / "efficientnet-lite0+logmel"
    folder.mkdir(parents=True)
    graph = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 20]> toy (float[B, 3, 16, 16] images) => (float[B, 4] features) {'
        "axes = Constant <value_ints: ints = [1, 2, 3]> ()  mean = GlobalAveragePool(images)  flat = Flatten(mean)"
        "peak = ReduceMax <keepdims: int = 0> (images, axes)  column = Constant <value_ints: ints = [-1, 1]> ()"
        "peaks = Reshape(peak, column)  features = Concat <axis: int = 1> (flat, peaks) }"
    )
    onnx.save(graph, folder / "visual.onnx")
    channels = {"mean": (127.0,) * 3, "std": (128.0,) * 3}
    size = {"size": 16, "width": 4, "audio": LogMel(bands=4)}
    spec = ExtractorSpec(DEFAULT, 1, "images", "features", **size, **channels, sha256=sha256(folder / "visual.onnx"))
    spec.save(folder)
    return spec.identity


@pytest.fixture
def clip(tmp_path):
    """A second of a grey that grows darker, as a real file."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10, width=64, height=48)
        for i in range(10):
            image = np.full((48, 64, 3), 200 - 15 * i, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


class TestFromCheckpointToScore:
    """`jsf export`, `jsf build-engine`, then `jsf score`, also of a video file."""

    def test_export_shows_each_graph_and_its_difference(self, jsf, traced, extractor, tiny_checkpoint):
        shown = jsf("export", "--ckpt", tiny_checkpoint)
        assert shown.status == 0
        rows = dict(re.findall(r"│ ([\w.]+) +│ +\d+\.\d │ +(\d\.\de-\d\d) │", shown.out))
        assert set(rows) == {"frame_encoder", "word_encoder", "matcher", "matcher.buckets"}
        assert all(float(error) < 1e-4 for error in rows.values())
        assert "the bundle scores feature files only: its features are of 'toy 1'" in shown.err
        assert Bundle.open(Path("bundle")).manifest.parity == pytest.approx(
            {name: float(error) for name, error in rows.items()}, rel=0.1
        )

    def test_export_as_json(self, jsf, traced, extractor, tiny_checkpoint):
        result = json.loads(jsf("export", "--ckpt", tiny_checkpoint, "-o", "models/b", "--json").out)
        assert result["bundle"] == "models/b"
        assert set(result["parity"]) == set(result["bytes"])
        assert result["bytes"]["matcher"] == Path("models/b/fp32/matcher.onnx").stat().st_size

    def test_half_precision_scores_nearly_the_same(self, jsf, traced, extractor, tiny_checkpoint, data):
        assert jsf("export", "--ckpt", tiny_checkpoint).status == 0
        built = jsf("build-engine", "--backend", "onnxruntime", "--fp16")
        assert built.status == 0
        assert built.err.startswith("backend onnxruntime: it was asked for\n")
        assert "fp16 accuracy: not measured" in built.out
        full = jsf("score", "v0.npz", SENTENCE)
        half = jsf("score", "v0.npz", SENTENCE, "--precision", "fp16", "--json")
        assert "on cpu, fp32" in full.err
        result = json.loads(half.out)
        assert result["backend"].endswith("on cpu, fp16")
        (score,) = (row["score"] for row in result["scores"])
        assert score != float(full.out)
        assert score == pytest.approx(float(full.out), abs=0.02)

    def test_a_build_as_json(self, jsf, tiny_bundle):
        shutil.copytree(tiny_bundle, "bundle")
        result = json.loads(jsf("build-engine", "--backend", "onnxruntime", "--fp16", "--json").out)
        assert (result["backend"], result["engines"]) == ("onnxruntime", [])
        assert result["losses"]["fp16"]["accuracy"] == "not measured"

    def test_int8_is_calibrated_measured_and_then_scores(self, jsf, tiny_bundle, data):
        shutil.copytree(tiny_bundle, "bundle")
        limits = ("--max-drop", "100", "--min-correlation", "-1", "--max-error", "100")
        table = ("--features", "features.h5", "--captions", "captions.csv", "--method", "entropy")
        built = jsf("build-engine", "--int8", "--backend", "onnxruntime", *table, *limits, "--keep-fp16", "jst.w")
        assert built.status == 0
        for variant in ("int8", "int8-cpu"):
            assert f"{variant}: 4 queries of captions.csv; calibrated on 1 videos" in built.out
            assert f"{variant} accuracy: measured on 4 queries: too few to tell, 500 are needed" in built.out
            assert f"{variant} keeps in FP{16 if variant == 'int8' else 32} instead of INT8: jst.w" in built.out
        assert "bundle/int8: graphs for ONNX Runtime, no engines" in built.out
        assert len(re.findall("rank correlation", built.out)) == 2
        scored = jsf("score", "v0.npz", SENTENCE, "--precision", "int8")
        assert "on cpu, int8" in scored.err
        assert np.isfinite(float(scored.out))
        again = jsf("build-engine", "--int8", "--backend", "onnxruntime", "--json")  # the graphs are there: no data
        assert json.loads(again.out)["losses"]["int8"]["samples"] == "captions.csv"

    def test_graphs_that_cost_too_much_are_shown_and_not_published(self, jsf, tiny_bundle, data):
        shutil.copytree(tiny_bundle, "bundle")
        table = ("--features", "features.h5", "--captions", "captions.csv")
        refused = jsf("build-engine", "--int8", "--backend", "onnxruntime", *table, "--min-correlation", "1.5")
        assert refused.status == 1
        assert "rank correlation" in refused.out
        assert "wanted is 1.5 (--min-correlation)" in refused.err
        assert "Layers that cost most, by the share of the mean error" in refused.err
        assert re.search("Keep layers in FP16: --keep-fp16 [a-z]", refused.err)
        assert not Path("bundle/int8").exists()

    def test_a_video_file_is_scored_with_the_extractor_in_the_bundle(
        self, jsf, traced, extractor, tiny_model, clip, monkeypatch
    ):
        words = Vocabulary(("red", "blue", "circle", "square", "then", "a", "while", "rings"))
        Checkpoint(tiny_model, words, extractor=extractor).save(Path("best.pt"))
        exported = jsf("export", "--ckpt", "best.pt")
        assert exported.status == 0
        assert "feature files only" not in exported.err
        monkeypatch.setenv("XDG_CACHE_HOME", "nowhere")  # another machine: it has only the bundle
        assert jsf("extract", clip, "-o", "clip.npz", "--bundle", "bundle").status == 0
        scored = jsf("score", "clip.npz", clip, SENTENCE, "--json")
        assert scored.status == 0
        file, video = json.loads(scored.out)["scores"]
        assert file["score"] == pytest.approx(video["score"], abs=1e-5)
        assert {file["video"], video["video"]} == {"clip.npz", str(clip)}


REFUSALS = {
    "no arguments": ("score", "expected at least one video and a sentence", "jsf score video.npz"),
    "no sentence": ("score v0.npz", "got 1 argument, expected at least one video", "jsf score video.npz"),
    "no such file": ("score gone.npz red", "gone.npz does not exist", "jsf extract"),
    "no such store": ("score gone.h5#a red", "gone.h5 does not exist", ""),
    "no such id": ("score features.h5#v9 red", "features.h5 has no features of 'v9'; it holds 3 videos", ""),
    "a store without id": ("score features.h5 red", "features.h5 holds 3 videos", "features.h5#v0"),
    "a text as features": ("score text.npz red", "text.npz is not a feature sequence", "jsf extract"),
    "another width": ("score narrow.npz red", "narrow.npz has features 7 wide; the model takes 12", "jsf extract"),
    "another extractor": ("score other.npz red", "other.npz was extracted by 'toy 2'", "jsf extract VIDEO --bundle"),
    "a video file without extractor": ("score clip.mp4 red", "has no extractor: its model was", "with that extractor"),
    "an empty sentence": ("score v0.npz ''", "the sentence '' has no words", ""),
    "unknown words": ("score v0.npz 'purple cow'", "none of the words of 'purple cow'", "vocabulary.json"),
    "no bundle": ("score v0.npz red --bundle none", "none is not a bundle", "jsf export --ckpt"),
    "a damaged bundle": ("score v0.npz red --bundle damaged", "manifest.json is not readable JSON", "jsf export"),
    "a changed graph": ("score v0.npz red --bundle changed", "frame_encoder.onnx was changed", "jsf export"),
    "no GPU": ("score v0.npz red --device cuda", "device 'cuda' is not here", "--device cpu"),
    "an unknown device": ("score v0.npz red --device tpu", "device 'tpu' is not known, expected", ""),
    "no such precision": ("score v0.npz red --precision fp16", "has no fp16 graphs", "jsf build-engine --fp16"),
    "an unknown precision": ("score v0.npz red --precision fp8", "precision 'fp8' is not known, expected", ""),
    "nothing to choose from": ("choose v0.npz red", "got 1 sentence, expected two or more", "jsf choose video.npz"),
    "videos to choose from": ("choose v0.npz v1.npz red", "a sentence is expected in this place, and v1.npz is", "Add"),
    "an option of unknown words": ("choose v0.npz red 'purple cow'", "none of the words of 'purple cow'", "vocabulary"),
    "no video to choose for": ("choose gone.npz red blue", "gone.npz does not exist", "jsf extract"),
    "a choice for what fills blanks": ("choose v0.npz red blue --bundle fills", "it scores words, not", "jsf fill"),
    "a score for what fills blanks": ("score v0.npz red --bundle fills", "it scores words, not sentences", "jsf fill"),
    "a blank for what does not": ("fill v0.npz 'a ___'", "it does not fill blanks", "--task fill-in-the-blank"),
    "no blank": ("fill v0.npz 'a red circle' --bundle fills", "'a red circle' has no blank, expected one", "_____"),
    "two blanks": ("fill v0.npz '__ red __' --bundle fills", "has 2 blanks, expected one", "_____"),
    "a file as blank": ("fill v0.npz v1.npz --bundle fills", "v1.npz is a file", "Add one"),
    "no weights": ("import-checkpoint gone.npz --vocabulary words -o x.pt", "gone.npz does not exist", ""),
    "neither form of weights": (
        "import-checkpoint words --vocabulary words -o x.pt",
        "is neither an .npz",
        "model.ckpt",
    ),
    "a text as weights": ("import-checkpoint text.npz --vocabulary words -o x.pt", "text.npz is not an .npz of", ""),
    "features as weights": (
        "import-checkpoint v0.npz --vocabulary words -o x.pt",
        "no variable 'video_cnn",
        "authors'",
    ),
    "no table": ("score --pairs gone.csv --features features.h5 -o s.csv", "gone.csv does not exist", "video_id"),
    "no store for a table": ("score --pairs captions.csv --features text.npz -o s.csv", "not a feature store", ".npz"),
    "an output folder": ("score --pairs captions.csv --features features.h5 -o damaged", "is a folder", "-o"),
    "no such task": (
        "evaluate --features features.h5 --captions captions.csv --task fil",
        "there is no task 'fil'",
        "fill-in-the-blank",
    ),
    "a training list without its data set": (
        "train --features features.h5 --captions captions.csv --training 7k -o new",
        "--training names a list of msrvtt",
        "--dataset msrvtt --root DIR",
    ),
    "a rate that is no number": (
        "train --features features.h5 --captions captions.csv --set learning_rate=NaN -o new",
        "learning_rate is 'NaN', expected a number",
        "",
    ),
    "a rate without bounds": (
        "train --features features.h5 --captions captions.csv --set learning_rate=1e400 -o new",
        "learning_rate is '1e400', expected a number",
        "",
    ),
    "captions without columns": ("evaluate --features features.h5 --captions text.npz", "has no column", "video_id"),
    "no features": ("evaluate --features gone --captions captions.csv", "gone is not a feature store", "HDF5"),
    "no checkpoint": ("export --ckpt gone.pt", "gone.pt does not exist", "jsf train"),
    "a text as checkpoint": ("export --ckpt text.npz", "text.npz is not a jsf checkpoint", ""),
    "no checkpoint to evaluate": ("evaluate --features . --captions captions.csv --ckpt gone.pt", "gone.pt", "train"),
    "a checkpoint on a GPU": (
        "evaluate --features features.h5 --captions captions.csv --ckpt best.pt --device cuda",
        "no device 'cuda' here",
        "",
    ),
    "a checkpoint on OpenVINO": (
        "evaluate --features features.h5 --captions captions.csv --ckpt best.pt --device openvino",
        "no device 'openvino' here",
        "",
    ),
    "a checkpoint in fp16": (
        "evaluate --features features.h5 --captions captions.csv --ckpt best.pt --precision fp16",
        "scored in fp32, not fp16",
        "jsf export",
    ),
    "a place that is taken": ("export --ckpt best.pt -o text.npz", "text.npz exists and is not a bundle", "-o"),
    "an engine without GPU": ("build-engine --backend tensorrt", "no usable NVIDIA GPU", "on the machine with the GPU"),
    "an unknown backend": ("build-engine --backend tvm", "backend 'tvm' is not known, expected", ""),
    "int8 without data": (
        "build-engine --int8 --backend onnxruntime",
        "--int8 needs pairs to calibrate on, and the bundle has no whole INT8 graphs yet",
        "jsf build-engine --int8 --features FEATURES --captions TABLE --bundle",
    ),
    "features without captions": (
        "build-engine --int8 --features features.h5 --backend onnxruntime",
        "--features and --captions go together",
        "Give both",
    ),
    "two precisions": ("build-engine --int8 --fp16", "--fp16 and --int8 were both given", "Give --int8"),
    "a choice of int8 for fp16": (
        "build-engine --fp16 --auto --backend onnxruntime",
        "--keep-fp16 and --auto are choices of --int8",
        "Give --int8",
    ),
    "choices of int8 without data": (
        "build-engine --int8 --keep-fp16 jst.d2 --backend onnxruntime",
        "need data to calibrate and to measure on",
        "Give --features and --captions",
    ),
    "an option of tensorrt's engines": (
        "build-engine --hardware-compatible --backend onnxruntime",
        "onnxruntime does not build with --hardware-compatible",
        "--backend tensorrt",
    ),
    "data for fp32": (
        "build-engine --features features.h5 --captions captions.csv --backend onnxruntime",
        "measure --fp16 or --int8",
        "Give one",
    ),
    "a method that is none": (
        "build-engine --int8 --method kl --features features.h5 --captions captions.csv --backend onnxruntime",
        "calibration method 'kl' is not known, expected one of: minmax, entropy, percentile",
        "",
    ),
    "an engine of no bundle": ("build-engine --bundle none", "none is not a bundle", "jsf export"),
    "no video": ("extract gone.mp4 -o x.npz", "gone.mp4 does not exist", ""),
    "a text as video": ("extract text.npz -o x.npz", "could not extract:", "text.npz cannot be decoded"),
    "an extractor that is not there": ("extract clip.mp4 -o x.npz --bundle damaged", "damaged", "jsf export"),
    "no training data": (
        "train --features gone --captions captions.csv --val-features gone --val-captions captions.csv -o run",
        "gone is not a feature store",
        "HDF5",
    ),
    "nothing to train on": ("train -o run", "nothing to train on was named", "--features and --captions"),
    "an option without value": (
        "train --features features.h5 --captions captions.csv --val-features features.h5 --val-captions captions.csv"
        " -o run --trainer devices",
        "'devices' has no '=', expected KEY=VALUE",
        "",
    ),
}


@pytest.fixture
def mistakes(bundle, data, extractor, tiny_bundle, variant_bundle, tiny_checkpoint, monkeypatch):
    """Files of all the wrong kinds, on a machine without a GPU."""
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr("jsf.export.engine.find_gpu", lambda: None)
    monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: None)
    Path("text.npz").write_text("neither,features\n1,2\n")
    shutil.copy(tiny_checkpoint, "best.pt")
    Path("fills").symlink_to(variant_bundle("official", "fill-in-the-blank"))
    for name, file in (("damaged", "manifest.json"), ("changed", "fp32/frame_encoder.onnx")):
        shutil.copytree(tiny_bundle, name)
        Path(name, file).write_text("{")


@pytest.mark.usefixtures("mistakes")
@pytest.mark.parametrize("mistake", REFUSALS)
def test_a_mistake_is_explained_without_a_traceback(jsf, mistake):
    command, message, fix = REFUSALS[mistake]
    shown = jsf(*shlex.split(command))
    assert shown.status == 1
    assert shown.out == ""
    notes, found, error = shown.err.rpartition("error: ")
    assert found
    assert message in error
    assert fix in error
    assert "Traceback" not in shown.err
    assert "error" not in notes


EVALUATE = "evaluate --features features.h5 --captions captions.csv"
TRAIN = "train --features features.h5 --captions captions.csv --val-features features.h5 --val-captions captions.csv"


@pytest.mark.parametrize(
    ("package", "extra", "command"),
    [
        ("onnxruntime", "cpu", "score v0.npz red"),
        ("onnxruntime", "gpu", "score v0.npz red --device cuda"),
        ("openvino", "openvino", "score v0.npz red --device openvino"),
        ("h5py", "extract", "score features.h5#v0 red"),
        ("torch", "train", f"{EVALUATE} --ckpt best.pt"),
        ("torch", "train", f"{TRAIN} -o run"),
        ("lightning", "train", f"{TRAIN} -o run"),
        ("onnxruntime", "cpu", "choose v0.npz red blue"),
        ("onnxruntime", "cpu", "fill v0.npz 'a __' --bundle fills"),
        ("torch", "train", "import-checkpoint v0.npz --vocabulary words -o x.pt"),
        ("torch", "export", "export --ckpt best.pt"),
        ("onnx", "export", "export --ckpt best.pt"),
        ("onnxscript", "export", "export --ckpt best.pt"),
        ("onnxruntime", "export", "export --ckpt best.pt"),
        ("onnx", "quantize", "build-engine --fp16 --backend onnxruntime --bundle copy"),
        ("tensorrt_rtx", "tensorrt-rtx", "build-engine --backend tensorrt-rtx"),
        ("av", "extract", "extract clip.mp4 -o clip.npz"),
    ],
)
def test_a_missing_package_is_named_with_its_install_command(
    jsf, mistakes, tiny_bundle, clip, monkeypatch, package, extra, command
):
    shutil.copytree(tiny_bundle, "copy")
    monkeypatch.setitem(sys.modules, package, None)
    shown = jsf(*shlex.split(command))
    assert shown.status == 1
    assert f"this needs the Python package '{package}'" in shown.err
    assert shown.err.endswith(f"pip install '.[{extra}]'\n")
    assert shown.out == ""
