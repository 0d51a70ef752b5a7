import importlib.util
import json
import shutil
import sys
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.export import memory
from jsf.export.engine import build_engines
from jsf.export.options import BuildOptions
from jsf.export.profiles import BUCKETS
from jsf.export.timing import save_timing_cache
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.backends.sidecar import EngineSidecar
from jsf.runtime.backends.tensorrt import NoEngineError, TensorRTGraph, open_engine
from jsf.runtime.bundle import MATCHER, RUNNING, Bundle
from jsf.runtime.graphs import load_graphs
from jsf.runtime.matching import Encoded, match
from jsf.runtime.scorer import Scorer

TESTS = Path(__file__).parents[1]


def load_helper(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    helper = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(helper)
    return helper


standin = load_helper(TESTS / "runtime" / "tensorrt_standin.py")


class Rig:
    """A machine with a GPU, a version of TensorRT or TensorRT-RTX, and a bundle, all simulated."""

    def __init__(self, monkeypatch, bundle):
        self.bundle, self.gpu, self.device = bundle, Gpu("a simulated Orin", "8.7"), standin.HostDevice()
        self._monkeypatch = monkeypatch
        monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: self.gpu)
        self.install("10.3")

    def install(self, version):
        self.trt = standin.make_tensorrt(version, self.device, lambda: self.gpu is not None)
        self._monkeypatch.setitem(sys.modules, self.trt.__name__, self.trt)

    def build(self, precision="fp32", backend="tensorrt", **options):
        return build_engines(self.bundle, precision, backend, BuildOptions(**options))

    def load(self, name, precision="fp32"):
        return open_engine(self.bundle, precision, name, self.device)

    def reference(self, name, precision="fp32"):
        return OnnxRuntimeGraph(self.bundle.graph(precision, name))


@pytest.fixture
def rig(monkeypatch, reduced_bundle, tmp_path):
    shutil.copytree(reduced_bundle, tmp_path / "bundle")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # of timings and logs
    return Rig(monkeypatch, Bundle.open(tmp_path / "bundle"))


@pytest.fixture
def samples():
    """A few videos and sentences of mixed lengths, as the graphs take them."""
    random = np.random.default_rng(0)
    frame_lengths, word_lengths = random.integers(1, 41, 8, np.int32), random.integers(1, 41, 8, np.int32)
    features = random.standard_normal((8, 40, 12)).astype(np.float32)
    features[np.arange(40) >= frame_lengths[:, None]] = 0
    words = random.integers(1, 9, (8, 40), np.int32) * (np.arange(40) < word_lengths[:, None])
    return {
        "features": features,
        "frame_lengths": frame_lengths,
        "words": words.astype(np.int32),
        "word_lengths": word_lengths,
    }


def encode(load, samples):
    videos = load("frame_encoder").run({"features": samples["features"], "lengths": samples["frame_lengths"]})
    sentences = load("word_encoder").run({"words": samples["words"], "lengths": samples["word_lengths"]})
    return {**videos, **sentences}


def match_inputs(encoded, samples, pairs):
    lengths = {"video_lengths": samples["frame_lengths"], "sentence_lengths": samples["word_lengths"]}
    video, sentence = np.array(pairs, np.int32).T
    return {**encoded, **lengths, "video_index": video, "sentence_index": sentence}


ALL_PAIRS = [(v, s) for v in range(8) for s in range(8)]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize(
    ("version", "folder"),
    [
        ("10.3", "tensorrt-10.3.0-sm87"),
        ("10.16", "tensorrt-10.16.0-sm87"),
        ("11.4", "tensorrt-11.4.0-sm87"),
        ("rtx-1.7", "tensorrt-rtx-1.7.0-aot"),
    ],
)
def test_an_engine_gives_the_scores_of_onnxruntime(rig, samples, version, folder, precision):
    rig.install(version)
    rig.gpu = Gpu("a simulated GPU", "8.9" if version.startswith("rtx") else "8.7")
    engines = rig.build(precision, "tensorrt-rtx" if version.startswith("rtx") else "tensorrt")
    assert [engine.relative_to(rig.bundle.engines).as_posix() for engine in engines] == [
        f"{folder}/{precision}/{name}.engine" for name in RUNNING
    ]
    found = encode(lambda name: rig.load(name, precision), samples)
    expected = encode(lambda name: rig.reference(name, precision), samples)
    assert {name: array.dtype for name, array in found.items()} == {n: a.dtype for n, a in expected.items()}
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    inputs = match_inputs(found, samples, ALL_PAIRS)
    scores = rig.load(MATCHER, precision).run(inputs)["scores"]
    assert scores.dtype == np.float32
    assert np.array_equal(scores, rig.reference(MATCHER, precision).run(inputs)["scores"])
    assert np.ptp(scores) > 0


def test_the_scorer_takes_the_engines_and_gives_the_same_scores(rig, samples, monkeypatch):
    rig.build("fp16")
    monkeypatch.setattr("jsf.runtime.graphs.find_gpu", lambda: rig.gpu)
    monkeypatch.setattr("jsf.runtime.backends.tensorrt.open_device", lambda: rig.device)
    videos = [features[:n] for features, n in zip(samples["features"], samples["frame_lengths"], strict=True)]
    sentences = ["red circle then blue square", "a circle", "blue rings while a square", "red"] * 3
    on_gpu = Scorer.load(rig.bundle.root)
    assert on_gpu.description == "tensorrt 10.3.0 on a simulated Orin, fp16"
    on_cpu = Scorer.load(rig.bundle.root, device="cpu", precision="fp16")
    scores = on_gpu.score_matrix(videos, sentences)
    assert scores.shape == (8, 12)
    assert np.ptp(scores) > 0.1
    assert np.allclose(scores, on_cpu.score_matrix(videos, sentences), atol=1e-3 * np.ptp(scores))


def test_batches_of_any_size_follow_one_another(rig, samples):
    rig.build()
    inputs = match_inputs(encode(rig.reference, samples), samples, ALL_PAIRS)
    matcher, expected = rig.load(MATCHER), rig.reference(MATCHER).run(inputs)["scores"]
    for size in (3, 64, 1, 17):
        batch = {name: value[:size] if name.endswith("index") else value for name, value in inputs.items()}
        assert np.allclose(matcher.run(batch)["scores"], expected[:size], atol=1e-5)


def test_a_read_only_gallery_is_copied_once(rig, samples):
    rig.build()
    encoded = encode(rig.reference, samples)
    encoded["videos"].flags.writeable = False
    matcher = rig.load(MATCHER)
    for _ in range(3):
        matcher.run(match_inputs(encoded, samples, ALL_PAIRS))
    assert sum(array is encoded["videos"] for array in rig.device.uploads) == 1
    assert sum(np.array_equal(array, encoded["sentences"]) for array in rig.device.uploads) == 3


def test_a_resident_gallery_gives_way_to_another(rig, samples):
    rig.build()
    matcher, reference = rig.load(MATCHER), rig.reference(MATCHER)
    first = encode(rig.reference, samples)
    second = {**first, "videos": np.ascontiguousarray(first["videos"][::-1])}
    for encoded in (first, second):
        encoded["videos"].flags.writeable = False
    for encoded in (first, second, first):
        inputs = match_inputs(encoded, samples, ALL_PAIRS)
        assert np.array_equal(matcher.run(inputs)["scores"], reference.run(inputs)["scores"])


def test_the_limits_are_told_and_held(rig, samples):
    rig.build()
    matcher = rig.load(MATCHER)
    assert matcher.limits == {"P": 64, "S": 4096, "V": 4096, "frames": 40, "words": 40}
    assert matcher.description == "tensorrt 10.3.0 on a simulated Orin"
    inputs = match_inputs(encode(rig.reference, samples), samples, [*ALL_PAIRS, (0, 0)])
    with pytest.raises(JsfError, match="P = 65 is outside this engine's 1 to 64"):
        matcher.run(inputs)
    with pytest.raises(JsfError, match="P = 0 is outside"):
        matcher.run({name: value[:0] if name.endswith("index") else value for name, value in inputs.items()})


class TestBuckets:
    """One profile of the engine for each size of the matcher, and one engine for all of them."""

    @pytest.fixture
    def inputs(self, rig, samples):
        """(bucket, members=8) -> what the matcher takes at that size, in read-only arrays."""
        encoded = encode(rig.reference, samples)

        def at(bucket, members=8):
            frames, words = bucket
            videos, sentences = encoded["videos"][:members, :frames], encoded["sentences"][:members, :words]
            cropped = {"videos": videos.copy(), "sentences": sentences.copy()}
            for array in cropped.values():
                array.flags.writeable = False
            lengths = {"video_lengths": frames, "sentence_lengths": words}
            lengths = {name: np.full(members, n, np.int32) for name, n in lengths.items()}
            video, sentence = (np.arange(members * members, dtype=np.int32) // d % members for d in (members, 1))
            return {**cropped, **lengths, "video_index": video, "sentence_index": sentence}

        return at

    @pytest.mark.parametrize(("version", "backend"), [("10.3", "tensorrt"), ("rtx-1.7", "tensorrt-rtx")])
    def test_each_gives_the_scores_of_onnxruntime(self, rig, inputs, version, backend):
        rig.install(version)
        rig.gpu = Gpu("a simulated GPU", "8.9")
        rig.build(backend=backend)
        matcher, reference = rig.load(MATCHER), rig.reference(MATCHER)
        assert tuple(matcher.buckets) == BUCKETS
        assert rig.load("frame_encoder").buckets == []
        for bucket in (*BUCKETS, *BUCKETS[::-1]):
            for members in (8, 3):
                scores = matcher.run(inputs(bucket, members))["scores"]
                assert np.array_equal(scores, reference.run(inputs(bucket, members))["scores"])
                assert np.ptp(scores) > 0

    def test_a_size_that_the_engine_was_not_built_for_is_refused(self, rig, inputs):
        rig.build()
        matcher = rig.load(MATCHER)
        with pytest.raises(JsfError, match="frames = 23 is outside this engine's 24 or 40"):
            matcher.run(inputs((23, 9)))
        with pytest.raises(JsfError, match="words = 10 is outside this engine's 9 or 13 or 21 or 40"):
            matcher.run(inputs((24, 10)))

    def test_a_shape_that_comes_again_is_replayed_whatever_ran_between(self, rig, inputs):
        rig.build()
        matcher, prepared = rig.load(MATCHER), [inputs(bucket) for bucket in BUCKETS]
        for _ in range(3):
            for batch in prepared:
                matcher.run(batch)
        assert (rig.device.captured, rig.device.replayed) == (len(BUCKETS), 2 * len(BUCKETS))

    def test_a_gallery_stays_on_the_device_at_every_size(self, rig, inputs):
        rig.build()
        matcher, prepared = rig.load(MATCHER), [inputs(bucket) for bucket in (BUCKETS[0], BUCKETS[-1])]
        for _ in range(3):
            for batch in prepared:
                matcher.run(batch)
        for batch in prepared:
            for name in ("videos", "sentences"):
                assert sum(array is batch[name] for array in rig.device.uploads) == 1

    @pytest.mark.parametrize(("version", "backend"), [("10.3", "tensorrt"), ("rtx-1.7", "tensorrt-rtx")])
    def test_contexts_are_made_when_needed_and_share_one_memory(self, rig, inputs, version, backend):
        rig.install(version)
        rig.gpu = Gpu("a simulated GPU", "8.9")
        rig.build(backend=backend)
        matcher = rig.load(MATCHER)
        contexts = matcher._contexts[0]._engine._contexts
        assert contexts == []
        for used, bucket in enumerate(BUCKETS, 1):
            matcher.run(inputs(bucket))
            assert [context._profile for context in contexts] == list(range(used))
        assert len({context._memory for context in contexts}) == 1

    def test_the_scheduler_sends_batches_of_exactly_these_sizes(self, rig, monkeypatch, samples):
        rig.build()
        matcher, sent = rig.load(MATCHER), []
        run = matcher.run
        monkeypatch.setattr(
            matcher,
            "run",
            lambda arrays: (sent.append((arrays["videos"].shape[1], arrays["sentences"].shape[1])), run(arrays))[1],
        )
        encoded = encode(rig.reference, samples)
        videos = Encoded(encoded["videos"], samples["frame_lengths"])
        sentences = Encoded(encoded["sentences"], samples["word_lengths"])
        pairs = np.divmod(np.arange(64), 8)
        scores = match(matcher, videos, sentences, *pairs)
        assert len(set(sent)) > 3
        assert set(sent) <= set(BUCKETS)
        expected = match(rig.reference("matcher"), videos, sentences, *pairs)
        assert np.allclose(scores, expected, atol=1e-5 * np.ptp(expected))

    def test_engines_of_an_earlier_jsf_are_refused_and_give_way(self, rig):
        folder = rig.build()[0].parent
        for suffix in (".engine", ".json", ".log"):
            (folder / f"{MATCHER}{suffix}").rename(folder / f"matcher{suffix}")
        for name in ("frame_encoder", "word_encoder", "matcher"):
            edit(folder / f"{name}.engine", schema=2)
        with pytest.raises(NoEngineError, match="has schema 2; this jsf reads schema 3") as refusal:
            load_graphs(rig.bundle, "cuda")
        assert f"jsf build-engine --bundle {rig.bundle.root}" in refusal.value.fix
        rig.build()
        assert {path.stem for path in folder.iterdir()} == set(RUNNING)


def test_lengths_that_disagree_are_refused(rig, samples):
    rig.build()
    inputs = match_inputs(encode(rig.reference, samples), samples, ALL_PAIRS)
    with pytest.raises(JsfError, match="'sentence_index' has P = 63, another input has 64"):
        rig.load(MATCHER).run({**inputs, "sentence_index": inputs["sentence_index"][:63]})


def test_without_a_driver_no_runtime_is_touched(rig):
    engine = rig.build()[0]
    rig.gpu = None
    with pytest.raises(JsfError, match="no usable NVIDIA GPU"):
        TensorRTGraph(engine, rig.bundle.manifest.hashes["fp32"]["frame_encoder"], rig.device)
    with pytest.raises(JsfError, match="no usable NVIDIA GPU"):
        rig.load("frame_encoder")


def edit(engine, **changes):
    path = engine.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "10.4.0"}, "built by tensorrt 10.4.0, this machine has tensorrt 10.3.0"),
        ({"platform": "linux-riscv"}, "built for linux-riscv, this machine is "),
        ({"compute_capabilities": ["9.0"]}, "built for compute capability 9.0, this GPU has 8.7"),
        ({"graph_sha256": "0" * 64}, "built from another graph: its SHA-256 was 000000000000"),
        ({"engine_sha256": "0" * 64}, "is damaged"),
        ({"graph": "word_encoder"}, "was renamed: its sidecar is of 'word_encoder', not of 'frame_encoder'"),
        ({"hardware_compatible": "yes"}, "'hardware_compatible' is 'yes', expected a bool"),
        ({"types": None}, "'types' is None, expected a dict"),
        ({"schema": 1}, "has schema 1; this jsf reads schema 3"),
        ({"backend": "tensorrt-lean"}, "'tensorrt-lean' is not known"),
        ({"profiles": None}, "'profiles' is None, expected a list"),
        ({"profiles": []}, r"each of 'profiles' must give \['B'\], and there must be one"),
        ({"profiles": [{"B": [1, 2, 3]}, {}]}, r"each of 'profiles' must give \['B'\]"),
        ({"profiles": [{"B": [1, 2]}]}, "not described as they should be"),
        ({"profiles": [7]}, "not described as they should be"),
        ({"profiles": [{"B": "abc"}]}, r"\['a', 'b', 'c'\] are not three lengths"),
        ({"profiles": [{"B": [256, 1, 1]}]}, r"\[256, 1, 1\] are not three lengths"),
        ({"profiles": [{"B": [True, 1, 1]}]}, r"\[True, 1, 1\] are not three lengths"),
        ({"inputs": {"features": {"shape": ["B", 40, 12]}}}, "not described as they should be"),
        ({"outputs": {"videos": {"dtype": "float16", "shape": ["B", 40, 32]}}}, "it has the tensors"),
    ],
)
def test_an_engine_that_is_not_for_this_machine_is_refused(rig, changes, message):
    engine = rig.build()[0]
    edit(engine, **changes)
    with pytest.raises(JsfError, match=message) as refusal:
        TensorRTGraph(engine, rig.bundle.manifest.hashes["fp32"]["frame_encoder"], rig.device)
    if "backend" not in changes:
        assert "jsf build-engine" in refusal.value.fix


def test_a_truncated_engine_is_refused(rig):
    engine = rig.build()[0]
    engine.write_bytes(engine.read_bytes()[:-100])
    with pytest.raises(JsfError, match="is damaged"):
        rig.load("frame_encoder")


def test_a_missing_engine_is_refused(rig):
    rig.build()[0].unlink()
    with pytest.raises(JsfError, match=r"frame_encoder.engine is missing"):
        rig.load("frame_encoder")


def test_an_engine_under_the_name_of_another_is_refused(rig):
    engines = rig.build()
    for suffix in (".engine", ".json"):
        shutil.copy(engines[1].with_suffix(suffix), engines[0].with_suffix(suffix))
    with pytest.raises(JsfError, match="was renamed: its sidecar is of 'word_encoder'"):
        rig.load("frame_encoder")


def test_an_engine_beside_the_sidecar_of_another_is_refused(rig):
    engines = rig.build("int8")
    shutil.copy(engines[1], engines[0])
    with pytest.raises(JsfError, match="is damaged or another engine") as refusal:
        rig.load("frame_encoder", "int8")
    assert f"jsf build-engine --int8 --backend tensorrt --bundle {rig.bundle.root}" in refusal.value.fix


def test_an_engine_of_a_precision_that_the_bundle_no_longer_has_is_refused(rig):
    rig.build("int8")
    del rig.bundle.manifest.hashes["int8"]
    with pytest.raises(JsfError, match=r"was built from another graph: .* the bundle's int8 graph is absent"):
        rig.load(MATCHER, "int8")


def test_an_engine_of_graphs_that_were_made_again_is_refused(rig):
    rig.build("int8")
    rig.bundle.manifest.hashes["int8"][MATCHER] = rig.bundle.manifest.hashes["fp16"][MATCHER]
    with pytest.raises(JsfError, match="was built from another graph") as refusal:
        rig.load(MATCHER, "int8")
    assert "jsf build-engine --int8" in refusal.value.fix


def test_what_tensorrt_says_is_passed_on(rig):
    engine = rig.build()[0]
    rig.install("11.4")
    edit(engine, version="11.4.0")
    with pytest.raises(JsfError, match="the version of the plan does not match"):
        rig.load("frame_encoder")


def test_the_engine_for_this_machine_is_found_among_others(rig):
    for version in ("10.16", "10.3"):
        rig.install(version)
        rig.build()
    assert rig.load(MATCHER).description.startswith("tensorrt 10.3.0")
    rig.gpu = Gpu("another GPU", "9.0")
    with pytest.raises(JsfError) as refusal:
        rig.load(MATCHER)
    assert "tensorrt-10.16.0-sm87/fp32: it was built by tensorrt 10.16.0" in refusal.value.message
    assert "tensorrt-10.3.0-sm87/fp32: it was built for compute capability 8.7" in refusal.value.message
    assert f"jsf build-engine --bundle {rig.bundle.root}" in refusal.value.fix


def test_a_sidecar_that_was_left_behind_stands_in_nobodys_way(rig):
    rig.install("10.16")
    edit(rig.build()[2], schema=1)
    rig.install("10.3")
    with pytest.raises(NoEngineError, match=r"tensorrt-10.16.0-sm87/fp32: .*has schema 1; this jsf reads schema 3"):
        rig.load(MATCHER)
    rig.build()
    assert rig.load(MATCHER).description.startswith("tensorrt 10.3.0")


AMPERE, TURING = Gpu("a simulated A100", "8.0"), Gpu("a simulated T4", "7.5")


def test_a_hardware_compatible_engine_runs_on_every_gpu_from_8_0(rig, samples):
    rig.build(hardware_compatible=True)
    assert rig.trt.Builder._config.hardware_compatibility_level == rig.trt.HardwareCompatibilityLevel.AMPERE_PLUS
    for capability in ("8.0", "8.7", "12.0"):
        rig.gpu = Gpu("another GPU", capability)
        assert encode(rig.load, samples).keys() == {"videos", "sentences"}
    rig.gpu = TURING
    with pytest.raises(NoEngineError, match=r"built for compute capability 8.0 and newer, this GPU has 7.5"):
        rig.load(MATCHER)


def test_a_hardware_compatible_engine_is_built_on_gpus_from_8_0_and_on_no_jetson(rig, monkeypatch):
    rig.gpu = TURING
    with pytest.raises(JsfError, match=r"from compute capability 8.0; this one \(a simulated T4\) has 7.5"):
        rig.build(hardware_compatible=True)
    rig.gpu = AMPERE
    monkeypatch.setattr("jsf.export.options.is_jetson", lambda: True)
    with pytest.raises(JsfError, match="on no Jetson"):
        rig.build(hardware_compatible=True)
    assert not rig.bundle.engines.exists()


def test_a_servers_engine_is_not_for_a_jetson(rig, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    rig.gpu = AMPERE
    rig.build(hardware_compatible=True)
    rig.gpu = Gpu("a simulated Orin", "8.7")
    monkeypatch.setattr("jsf.runtime.backends.sidecar.is_jetson", lambda: True)
    with pytest.raises(NoEngineError, match="built for linux-aarch64, this machine is linux-aarch64-jetson"):
        rig.load(MATCHER)


@pytest.mark.parametrize("version", ["10.3", "10.16"])
def test_a_version_compatible_engine_runs_with_later_versions_of_the_same_major_one(rig, samples, version):
    engine = rig.build(version_compatible=True)[0]
    assert rig.trt.Builder._config._set == ["VERSION_COMPATIBLE"]
    rig.install(version)
    assert np.array_equal(encode(rig.load, samples)["videos"], encode(rig.reference, samples)["videos"])
    edit(engine, version_compatible=False)
    with pytest.raises(JsfError, match=r"host code, which is not allowed|built by tensorrt 10.3.0, this machine"):
        TensorRTGraph(engine, rig.bundle.manifest.hashes["fp32"]["frame_encoder"], rig.device)


@pytest.mark.parametrize(("built", "running"), [("10.16", "10.3"), ("10.3", "11.4")])
def test_a_version_compatible_engine_runs_with_no_earlier_and_no_other_major_version(rig, built, running):
    rig.install(built)
    rig.build(version_compatible=True)
    rig.install(running)
    major = built.split(".")[0]
    message = f"by tensorrt {built}.0 for {major}.x from there, this machine has tensorrt {running}.0"
    with pytest.raises(NoEngineError, match=message) as refusal:
        rig.load(MATCHER)
    assert "jsf build-engine" in refusal.value.fix


def test_the_engine_for_this_version_alone_goes_before_one_for_several(rig):
    rig.build(version_compatible=True)
    rig.install("10.16")
    rig.build()
    assert rig.load(MATCHER).description.startswith("tensorrt 10.16.0")


def test_the_timing_cache_is_kept_and_merged(rig, tmp_path):
    rig.build()
    cache = tmp_path / "cache" / "jsf" / "timing" / "tensorrt-10.3.0-sm87.cache"
    assert cache.read_bytes().split() == [b"scores", b"sentences", b"videos"]
    cache.write_bytes(b"of-another-build\n" + cache.read_bytes())
    rig.build()
    assert b"of-another-build" in cache.read_bytes().split()
    cache.write_bytes(b"damaged")
    rig.build()
    assert cache.read_bytes().split() == [b"scores", b"sentences", b"videos"]


def test_a_cache_that_cannot_be_written_costs_no_build(rig, tmp_path):
    (tmp_path / "cache" / "jsf").mkdir(parents=True)
    (tmp_path / "cache" / "jsf" / "timing").write_text("a file where the folder would be")
    engines = rig.build()
    assert all(engine.is_file() for engine in engines)
    assert "WARNING: the timing cache was not kept" in engines[0].with_suffix(".log").read_text()


def test_one_thread_at_a_time_has_the_stream(rig, samples):
    rig.build()
    frames = rig.load("frame_encoder")
    inputs = {"features": samples["features"], "lengths": samples["frame_lengths"]}
    thread = Thread(target=frames.run, args=(inputs,))
    with rig.device.lock:
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
    thread.join(10)
    assert not thread.is_alive()


def test_a_tensorrt_that_is_too_old_is_refused(rig, monkeypatch):
    monkeypatch.setattr(rig.trt, "__version__", "8.6.1")
    with pytest.raises(JsfError, match=r"TensorRT is 8\.6\.1, expected 10\.3 or newer"):
        rig.build()


def test_builds_at_the_same_time_lose_no_timings(rig, tmp_path):
    path = tmp_path / "timings.cache"

    def build(number):
        for step in range(5):
            config = rig.trt.IBuilderConfig()
            config.set_timing_cache(config.create_timing_cache(f"{number}.{step}".encode()), False)
            save_timing_cache(config, path)

    threads = [Thread(target=build, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(path.read_bytes().split()) == 20


class TestMemoryThatCpuAndGpuShare:
    @pytest.fixture
    def free(self, rig, monkeypatch, tmp_path):
        rig.gpu = Gpu("a simulated Orin", "8.7", integrated=True)

        def say(available, swap=0):
            meminfo = f"MemTotal: 8000000 kB\nMemAvailable: {available >> 10} kB\nSwapFree: {swap >> 10} kB\n"
            (tmp_path / "meminfo").write_text(meminfo)
            monkeypatch.setattr("jsf.runtime.meminfo.MEMINFO", tmp_path / "meminfo")

        return say

    def test_the_workspace_is_what_the_builder_leaves(self, rig, free):
        free(4 << 30)
        rig.build()
        workspace = rig.trt.Builder._config._pools["WORKSPACE"]
        assert (
            workspace == (4 << 30) - memory.BASE - (3 + len(BUCKETS)) * rig.bundle.graph("fp32", MATCHER).stat().st_size
        )

    def test_a_build_that_does_not_fit_does_not_begin(self, rig, free, monkeypatch):
        free(2 << 30, 256 << 20)
        monkeypatch.setattr(rig.trt, "Builder", None)
        with pytest.raises(JsfError) as refusal:
            rig.build()
        assert "needs about 2.7 GB to build" in refusal.value.message
        assert "has 2.1 GB free and 0.3 GB of swap" in refusal.value.message
        for fix in ("Close programs", "swap or zram", "--fp16 or --int8"):
            assert fix in refusal.value.fix

    def test_half_the_precision_fits_where_all_of_it_does_not(self, rig, free):
        free(2300 << 20)
        with pytest.raises(JsfError, match=r"the fp32 engine of .* needs about 2.7 GB"):
            rig.build("fp32")
        assert len(rig.build("fp16")) == 3

    def test_swap_makes_room(self, rig, free):
        free(2 << 30, 1 << 30)
        rig.build()
        assert rig.trt.Builder._config._pools["WORKSPACE"] == memory.ACTIVATIONS["fp32"]

    def test_a_gpu_with_its_own_memory_keeps_tensorrts_default(self, rig, free):
        free(1 << 20)
        rig.gpu = AMPERE
        rig.build()
        assert rig.trt.Builder._config._pools == {}


class TestTypesThatWereBuilt:
    def test_they_stand_in_the_sidecar(self, rig):
        frame_encoder, word_encoder, matcher = (EngineSidecar.read(e.with_suffix(".json")) for e in rig.build("int8"))
        assert frame_encoder.types["context.convolutions.1"] == matcher.types["jst.d4"] == "int8"
        assert matcher.types["head.d5"] == word_encoder.types["context.lstm"] == "float16"
        assert matcher.layers["int8"] > 10

    def test_a_layer_that_tensorrt_did_not_quantize_is_named(self, rig, tmp_path, monkeypatch):
        monkeypatch.setattr(standin, "IN_HALF", {"jst.d4", "chd.stages.0.convolution"})
        with pytest.raises(JsfError) as refusal:
            rig.build("int8")
        assert (
            "the int8 engine of 'matcher.buckets' does not compute in the types that its graph asks for: "
            "jst.d4 in float16, not int8; chd.stages.0.convolution in float16, not int8 (at 24 frames, 9 words)."
        ) in refusal.value.message
        log = tmp_path / "cache" / "jsf" / "build-logs" / "tensorrt-10.3.0-sm87-int8-matcher.buckets.log"
        assert str(log) in refusal.value.message
        assert log.read_text().splitlines()[-1] == "INFO: built"
        assert not rig.bundle.engines.exists()

    def test_a_layer_that_tensorrt_quantized_at_most_sizes_is_named_with_the_one_where_not(self, rig, monkeypatch):
        frames, words = BUCKETS[3]
        monkeypatch.setattr(standin, "IN_HALF", {"jst.d4 [profile 3]"})
        with pytest.raises(JsfError, match=rf"jst.d4 in float16, not int8 \(at {frames} frames, {words} words\)\."):
            rig.build("int8")
        rig.install("rtx-1.7")
        with pytest.raises(JsfError, match=rf"jst.d4 in float16, not int8 \(at {frames} frames, {words} words\)\."):
            rig.build("int8", "tensorrt-rtx")

    def test_an_engine_without_int8_is_caught_where_layers_have_lost_their_names(self, rig, monkeypatch):
        described = standin._layers

        def without_names(*args):
            return [{**layer, "Metadata": ""} for layer in described(*args) if "Int8" not in str(layer)]

        monkeypatch.setattr(standin, "_layers", without_names)
        with pytest.raises(JsfError, match="'frame_encoder' computes nothing in int8, as its graph asks"):
            rig.build("int8")
        assert len(rig.build("fp16")) == 3

    def test_a_tensorrt_that_does_not_describe_its_layers_is_believed(self, rig, monkeypatch):
        monkeypatch.setattr(standin, "_layers", lambda *args: [])
        sidecar = EngineSidecar.read(rig.build("int8")[2].with_suffix(".json"))
        assert (sidecar.layers, sidecar.types) == ({}, {})

    def test_what_tensorrt_said_lies_beside_the_engine(self, rig):
        engine = rig.build()[0]
        first, last = engine.with_suffix(".log").read_text().splitlines()
        assert first.startswith("INFO: building with ")
        assert last == "INFO: built"


class TestReplay:
    """CUDA graphs: captured on the second run of a batch shape, replayed from then on."""

    @pytest.fixture
    def run(self, rig, samples):
        """Runs the frame encoder on the first `size` videos in an order, and compares."""
        rig.build()
        graph, reference = rig.load("frame_encoder"), rig.reference("frame_encoder")

        def run(size, seed=0):
            order = np.random.default_rng(seed).permutation(8)[:size]
            inputs = {"features": samples["features"][order], "lengths": samples["frame_lengths"][order]}
            assert np.allclose(graph.run(inputs)["videos"], reference.run(inputs)["videos"], atol=1e-6)

        return run

    def test_a_shape_that_comes_again_is_replayed(self, rig, run):
        for seed in range(5):
            run(3, seed)
        assert (rig.device.captured, rig.device.replayed) == (1, 4)

    def test_each_shape_has_its_own(self, rig, run):
        for seed in range(4):
            run(2, seed)
            run(1, seed)
        assert (rig.device.captured, rig.device.replayed) == (2, 6)

    def test_a_buffer_that_grows_voids_what_was_captured(self, rig, run):
        for size in (2, 2, 2, 4, 2, 2, 2):
            run(size, size)
        assert (rig.device.captured, rig.device.replayed) == (2, 4)

    def test_the_shapes_used_last_are_kept(self, rig, run):
        run(8)  # the buffers have their size
        for size in (1, 2, 3, 4) * 3:
            run(size)
        assert (rig.device.captured, rig.device.replayed) == (4, 8)
        for size in (5, 6, 7, 5, 1):  # 1 has given way
            run(size)
        assert (rig.device.captured, rig.device.replayed) == (5, 9)

    def test_what_cannot_be_captured_runs_as_before(self, rig, run):
        rig.device.refuses_capture = True
        for seed in range(4):
            run(3, seed)
        assert (rig.device.captured, rig.device.replayed) == (0, 0)

    def test_contexts_share_the_memory_between_inputs_and_outputs(self, rig, run):
        for size in (8, 1, 2, 3):
            run(size)
        assert sum(len(block) == 256 for block in rig.device.memory.values()) == 1

    def test_tensorrt_rtx_keeps_graphs_by_itself(self, rig, samples):
        rig.install("rtx-1.7")
        rig.gpu = Gpu("a simulated GPU", "8.9")
        rig.build(backend="tensorrt-rtx")
        graph = rig.load("frame_encoder")
        for size in (3, 3, 3, 5, 3):
            inputs = {"features": samples["features"][:size], "lengths": samples["frame_lengths"][:size]}
            assert graph.run(inputs)["videos"].shape[0] == size
        (context,) = graph._contexts[0]._engine._contexts
        assert context._settings.cuda_graph_strategy == rig.trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        assert rig.device.captured == 0


def test_results_outlive_the_next_run(rig, samples):
    rig.build()
    graph = rig.load("frame_encoder")
    inputs = {"features": samples["features"], "lengths": samples["frame_lengths"]}
    first = graph.run(inputs)["videos"]
    before = first.copy()
    graph.run({**inputs, "features": inputs["features"][::-1]})
    assert np.array_equal(first, before)


def test_copies_go_through_page_locked_memory_which_is_reused(rig, samples, monkeypatch):
    rig.build()
    graph, pinned = rig.load("frame_encoder"), []
    pin = rig.device.pin
    monkeypatch.setattr(rig.device, "pin", lambda nbytes: (pinned.append(pin(nbytes)), pinned[-1])[1])
    for size in (8, 3, 8):
        graph.run({"features": samples["features"][:size], "lengths": samples["frame_lengths"][:size]})
    assert [len(block) for block in pinned] == [8 * 40 * 12 * 4, 8 * 4, 8 * 40 * 8 * 4]
    assert all(any(np.may_share_memory(array, block) for block in pinned) for array in rig.device.uploads)


class TestTheStandInCanFail:
    def test_a_name_that_a_version_lacks(self, rig):
        builder_flag = sys.modules["tensorrt"].BuilderFlag
        assert builder_flag.FP16.name == "FP16"
        rig.install("11.4")
        with pytest.raises(AttributeError):
            _ = sys.modules["tensorrt"].BuilderFlag.FP16
        with pytest.raises(AttributeError):
            _ = sys.modules["tensorrt"].ComputeCapability
        with pytest.raises(AttributeError):
            sys.modules["tensorrt"].Builder(None).create_builder_config().int8_calibrator = None

    def test_a_result_that_is_read_before_the_stream_is_done(self, rig, samples, monkeypatch):
        rig.build()
        graph = rig.load("frame_encoder")
        monkeypatch.setattr(rig.device, "synchronize", lambda: None)
        result = graph.run({"features": samples["features"], "lengths": samples["frame_lengths"]})["videos"]
        assert not np.array_equal(result, encode(rig.reference, samples)["videos"])

    def test_a_run_before_its_copies(self, rig, samples, monkeypatch):
        rig.build()
        graph = rig.load("frame_encoder")
        late = rig.device.upload

        def upload_after(buffer, array):
            rig.device.late = [*getattr(rig.device, "late", []), (buffer, array)]

        synchronize = rig.device.synchronize
        monkeypatch.setattr(rig.device, "upload", upload_after)
        monkeypatch.setattr(
            rig.device, "synchronize", lambda: ([late(*copy) for copy in rig.device.late], synchronize())
        )
        result = graph.run({"features": samples["features"], "lengths": samples["frame_lengths"]})["videos"]
        assert not np.array_equal(result, encode(rig.reference, samples)["videos"])

    def test_memory_that_is_too_small(self, rig, samples, monkeypatch):
        rig.build()
        graph = rig.load("frame_encoder")
        allocate = rig.device.allocate
        monkeypatch.setattr(rig.device, "allocate", lambda nbytes: allocate(nbytes - 4))
        with pytest.raises(MemoryError, match="illegal access"):
            graph.run({"features": samples["features"], "lengths": samples["frame_lengths"]})

    def test_another_stream(self, rig, samples, monkeypatch):
        rig.build()
        graph = rig.load("frame_encoder")
        execute = rig.trt.IExecutionContext.execute_async_v3
        monkeypatch.setattr(rig.trt.IExecutionContext, "execute_async_v3", lambda context, _: execute(context, 0))
        with pytest.raises(AssertionError, match="another stream"):
            graph.run({"features": samples["features"], "lengths": samples["frame_lengths"]})

    def test_a_graph_of_a_context_that_has_changed(self, rig, samples):
        rig.build()
        graph = rig.load("frame_encoder")
        inputs = {"features": samples["features"], "lengths": samples["frame_lengths"]}
        for _ in range(2):
            graph.run(inputs)
        (context,) = graph._contexts[0]._engine._contexts
        context.set_input_shape("lengths", (8,))
        with pytest.raises(AssertionError, match="the context has changed"):
            graph.run(inputs)

    def test_a_capture_before_the_first_run(self, rig):
        rig.build()
        graph = rig.load("frame_encoder")
        context = graph._contexts[0]._create()
        buffers = [rig.device.allocate(1 << 16) for _ in range(3)]
        context.set_input_shape("features", (1, 40, 12))
        context.set_input_shape("lengths", (1,))
        for name, buffer in zip(("features", "lengths", "videos"), buffers, strict=True):
            context.set_tensor_address(name, buffer.address)
        with pytest.raises(AssertionError, match="cannot be captured"):
            rig.device.capture(lambda: context.execute_async_v3(rig.device.stream))
