import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from jsf.calibration.error import generated_samples
from jsf.data.errors import JsfError
from jsf.export.engine import build_engines
from jsf.runtime.backends.driver import Gpu
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph
from jsf.runtime.backends.tensorrt import TensorRTGraph, open_engine
from jsf.runtime.bundle import STATIC_GRAPHS, Bundle
from jsf.runtime.scorer import Scorer

SPEC = importlib.util.spec_from_file_location("tensorrt_standin", Path(__file__).with_name("tensorrt_standin.py"))
standin = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(standin)


class Rig:
    """A machine with a GPU, a version of TensorRT and a bundle, all simulated."""

    def __init__(self, monkeypatch, bundle):
        self.bundle, self.gpu, self.device = bundle, Gpu("a simulated Orin", "8.7"), standin.HostDevice()
        self._monkeypatch = monkeypatch
        monkeypatch.setattr("jsf.runtime.backends.driver.find_gpu", lambda: self.gpu)
        self.install("10.3")

    def install(self, version):
        module = standin.make_tensorrt(version, self.device, lambda: self.gpu is not None)
        self._monkeypatch.setitem(sys.modules, "tensorrt", module)

    def build(self, precision="fp32"):
        return build_engines(self.bundle, precision, "tensorrt")

    def load(self, name, precision="fp32"):
        return open_engine(self.bundle, precision, name, self.device)

    def reference(self, name, precision="fp32"):
        return OnnxRuntimeGraph(self.bundle.graph(precision, name))


@pytest.fixture
def rig(monkeypatch, tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "bundle")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # of timings
    return Rig(monkeypatch, Bundle.open(tmp_path / "bundle"))


@pytest.fixture
def samples(rig):
    return generated_samples(rig.bundle.manifest, len(rig.bundle.vocabulary))


def encode(load, samples):
    videos = load("frame_encoder").run({"features": samples["features"], "lengths": samples["frame_lengths"]})
    sentences = load("word_encoder").run({"words": samples["words"], "lengths": samples["word_lengths"]})
    return {**videos, **sentences}


def match_inputs(encoded, samples, pairs):
    lengths = {"video_lengths": samples["frame_lengths"], "sentence_lengths": samples["word_lengths"]}
    video, sentence = np.array(pairs, np.int32).T
    return {**encoded, **lengths, "video_index": video, "sentence_index": sentence}


ALL_PAIRS = [(v, s) for v in range(8) for s in range(8)]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("version", ["10.3", "10.16", "11.4"])
def test_an_engine_gives_the_scores_of_onnxruntime(rig, samples, version, precision):
    rig.install(version)
    engines = rig.build(precision)
    assert [engine.relative_to(rig.bundle.engines).as_posix() for engine in engines] == [
        f"tensorrt-{version}.0-sm87/{precision}/{name}.engine" for name in STATIC_GRAPHS
    ]
    found = encode(lambda name: rig.load(name, precision), samples)
    expected = encode(lambda name: rig.reference(name, precision), samples)
    assert {name: array.dtype for name, array in found.items()} == {n: a.dtype for n, a in expected.items()}
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    inputs = match_inputs(found, samples, ALL_PAIRS)
    scores = rig.load("matcher", precision).run(inputs)["scores"]
    assert scores.dtype == np.float32
    assert np.array_equal(scores, rig.reference("matcher", precision).run(inputs)["scores"])
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
    matcher, expected = rig.load("matcher"), rig.reference("matcher").run(inputs)["scores"]
    for size in (3, 64, 1, 17):
        batch = {name: value[:size] if name.endswith("index") else value for name, value in inputs.items()}
        assert np.allclose(matcher.run(batch)["scores"], expected[:size], atol=1e-5)


def test_a_read_only_gallery_is_copied_once(rig, samples):
    rig.build()
    encoded = encode(rig.reference, samples)
    encoded["videos"].flags.writeable = False
    matcher = rig.load("matcher")
    for _ in range(3):
        matcher.run(match_inputs(encoded, samples, ALL_PAIRS))
    uploads = [id(array) for array in rig.device.uploads]
    assert uploads.count(id(encoded["videos"])) == 1
    assert uploads.count(id(encoded["sentences"])) == 3


def test_a_resident_gallery_gives_way_to_another(rig, samples):
    rig.build()
    matcher, reference = rig.load("matcher"), rig.reference("matcher")
    first = encode(rig.reference, samples)
    second = {**first, "videos": np.ascontiguousarray(first["videos"][::-1])}
    for encoded in (first, second):
        encoded["videos"].flags.writeable = False
    for encoded in (first, second, first):
        inputs = match_inputs(encoded, samples, ALL_PAIRS)
        assert np.array_equal(matcher.run(inputs)["scores"], reference.run(inputs)["scores"])


def test_the_limits_are_told_and_held(rig, samples):
    rig.build()
    matcher = rig.load("matcher")
    assert matcher.limits == {"P": 64, "S": 4096, "V": 4096}
    assert matcher.description == "tensorrt 10.3.0 on a simulated Orin"
    inputs = match_inputs(encode(rig.reference, samples), samples, [*ALL_PAIRS, (0, 0)])
    with pytest.raises(JsfError, match="P = 65 is outside this engine's 1 to 64"):
        matcher.run(inputs)
    with pytest.raises(JsfError, match="P = 0 is outside"):
        matcher.run({name: value[:0] if name.endswith("index") else value for name, value in inputs.items()})


def test_lengths_that_disagree_are_refused(rig, samples):
    rig.build()
    inputs = match_inputs(encode(rig.reference, samples), samples, ALL_PAIRS)
    with pytest.raises(JsfError, match="'sentence_index' has P = 63, another input has 64"):
        rig.load("matcher").run({**inputs, "sentence_index": inputs["sentence_index"][:63]})


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
        ({"schema": 2}, "has schema 2; this jsf reads schema 1"),
        ({"backend": "tensorrt-lean"}, "'tensorrt-lean' is not known"),
        ({"profile": None}, "'profile' is None, expected a dict"),
        ({"profile": {}}, r"'profile' lacks \['B'\]"),
        ({"profile": {"B": [1, 2]}}, "not described as they should be"),
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
    with pytest.raises(JsfError, match="was built from another graph"):
        rig.load("frame_encoder")


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
    assert rig.load("matcher").description.startswith("tensorrt 10.3.0")
    rig.gpu = Gpu("another GPU", "9.0")
    with pytest.raises(JsfError) as refusal:
        rig.load("matcher")
    assert "tensorrt-10.16.0-sm87/fp32: it was built by tensorrt 10.16.0" in refusal.value.message
    assert "tensorrt-10.3.0-sm87/fp32: it was built for compute capability 8.7" in refusal.value.message
    assert f"jsf build-engine --bundle {rig.bundle.root}" in refusal.value.fix


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
        context = graph._context
        monkeypatch.setattr(graph, "_context", OnStream0(context))
        with pytest.raises(AssertionError, match="another stream"):
            graph.run({"features": samples["features"], "lengths": samples["frame_lengths"]})


class OnStream0:
    def __init__(self, context):
        self._context = context

    def __getattr__(self, name):
        return getattr(self._context, name)

    def execute_async_v3(self, stream_handle):
        return self._context.execute_async_v3(0)
