"""VGGish: its windows against a spectrum written out in loops, its network against torchvggish's layout."""

import math
import shutil

import numpy as np
import onnx
import pytest
import torch

from jsf.data.errors import JsfError
from jsf.data.files import sha256
from jsf.data.sequence import load_sequence
from jsf.extraction import Extractor
from jsf.extraction.make import make_extractor
from jsf.extraction.spec import ExtractorSpec
from jsf.extraction.vggish import NoSound, VGGish
from jsf.extraction.vggish_network import NETWORK, PCA, VGGishNetwork, write_vggish
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

RATE = 16_000
SILENCE = math.log(0.01)


def speech(seconds, seed=0):
    """A sound as rich as speech: gliding harmonics that come and go, and noise."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 120 + 40 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 30)) * (1 + np.sin(2 * np.pi * 3 * time)) / 6
    return (voice + 0.01 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def reference(sound):
    """log(mel + 0.01) [columns, 64] of VGGish's parameters, without a fast transform or a matrix of filters."""

    def mel(frequency):
        return 2595 * math.log10(1 + frequency / 700)  # HTK

    low, high = mel(125), mel(7500)
    edges = [low + (high - low) * i / 65 for i in range(66)]
    taper = [0.5 - 0.5 * math.cos(2 * math.pi * n / 400) for n in range(400)]  # 25 ms, periodic Hann
    waves = np.exp(-2j * np.pi * np.outer(np.arange(257), np.arange(400)) / 512)
    columns = []
    for start in range(0, len(sound) - 400 + 1, 160):  # every 10 ms
        magnitudes = np.abs(waves @ (np.asarray(sound[start : start + 400], float) * taper))
        bands = []
        for left, middle, right in zip(edges, edges[1:], edges[2:], strict=False):
            total = 0.0
            for k in range(1, 257):
                position = mel(k * RATE / 512)
                slope = (position - left) / (middle - left), (right - position) / (right - middle)
                total += max(0.0, min(slope)) * magnitudes[k]
            bands.append(math.log(total + 0.01))
        columns.append(bands)
    return np.array(columns)


class Middle:
    """In place of the network: the mean of a window's first, middle and last columns."""

    outputs = (type("Output", (), {"shape": ("B", 3)})(),)

    def __init__(self):
        self.windows = []

    def run(self, arrays):
        (windows,) = arrays.values()
        self.windows += list(windows)
        return {"sound": windows[:, [0, 48, 95]].mean(axis=2)}


def test_the_windows_are_those_of_a_spectrum_written_out():
    sound = speech(2)
    ((row, window),) = VGGish(Middle()).windows([sound], 0.0, np.array([1.0]))
    assert row == 0
    expected = reference(sound)[52:148]  # 96 columns of 10 ms whose middle is at one second
    assert expected.std() > 0.5
    np.testing.assert_allclose(window, expected, atol=1e-4)


def test_what_lies_outside_the_sound_is_silence():
    sound = speech(1)
    windows = dict(VGGish(Middle()).windows([sound], 2.0, np.array([1.0, 2.0, 3.0, 4.0])))
    assert list(windows) == [1, 2]  # the first ends before the sound, the last begins after it
    whole = reference(sound)
    np.testing.assert_allclose(windows[1][:48], SILENCE, atol=1e-6)
    np.testing.assert_allclose(windows[1][48:], whole[:48], atol=1e-4)
    np.testing.assert_allclose(windows[2][: len(whole) - 52], whole[52:], atol=1e-4)
    np.testing.assert_allclose(windows[2][len(whole) - 52 :], SILENCE, atol=1e-6)


@pytest.mark.parametrize("length", [37, 1024, 5000, 10**6])
@pytest.mark.parametrize("spacing", [0.2, 3.0])
def test_pieces_of_any_length_give_the_same(length, spacing):
    sound, times = speech(30), np.arange(0.1, 30, spacing)
    once = list(VGGish(Middle()).windows([sound], 0.05, times))
    pieces = [sound[i : i + length] for i in range(0, len(sound), length)]
    again = list(VGGish(Middle()).windows(pieces, 0.05, times))
    assert [row for row, _ in again] == list(range(len(times)))
    for (_, one), (_, other) in zip(once, again, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_frames_without_sound_get_zeros_and_are_not_run():
    graph = Middle()
    found = VGGish(graph).features([speech(1)], 0.0, np.array([0.5, 9.0]))
    assert found[0].all()
    assert not found[1].any()
    assert len(graph.windows) == 1
    assert not VGGish(graph).features([], 0.0, np.array([0.5, 9.0])).any()
    assert NoSound().features([speech(1)], 0.0, np.array([0.5, 9.0])).shape == (2, 0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The two files of torchvggish's release, of random numbers; the PCA as numpy arrays, as it was saved."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    state = {key: value for key, value in VGGishNetwork().state_dict().items() if key not in ("eigen_vectors", "means")}
    state = {key: value * 1.7 for key, value in state.items()}  # else the numbers fade from layer to layer
    torch.save(state, folder / NETWORK)
    random = np.random.default_rng(0)
    torch.save(
        {"pca_eigen_vectors": random.standard_normal((128, 128)), "pca_means": random.random((128, 1))}, folder / PCA
    )
    return folder


@pytest.fixture(scope="module")
def folder(weights, tmp_path_factory):
    """An extractor of little pictures, with VGGish."""

    def write(path):
        text = (
            '<ir_version: 9, opset_import: ["" : 20]> channels (float[B, 3, 16, 16] images) => (float[B, 3] features)'
            " { pooled = GlobalAveragePool(images)  features = Flatten(pooled) }"
        )
        onnx.save(onnx.parser.parse_model(text), path)
        grey = (127.0,) * 3
        return ExtractorSpec("channels", 1, "images", "features", 16, 3, grey, grey, sha256(path))

    out = tmp_path_factory.mktemp("out") / "extractor"
    make_extractor(out, write, "vggish", weights)
    return out


@pytest.fixture(scope="module")
def graph(folder):
    return OnnxRuntimeGraph(folder / "sound.onnx")


def published(weights, windows):
    """torchvggish: convolutions, the layout of TensorFlow, dense layers, PCA and 8 bits."""
    state = torch.load(weights / NETWORK, weights_only=True)
    images = torch.from_numpy(windows)[:, None]
    for index, pooled in ((0, True), (3, True), (6, False), (8, True), (11, False), (13, True)):
        name = f"features.{index}"
        images = torch.relu(torch.conv2d(images, state[f"{name}.weight"], state[f"{name}.bias"], padding=1))
        images = torch.max_pool2d(images, 2) if pooled else images
    rows = images.transpose(1, 3).transpose(1, 2).flatten(1)
    for index in (0, 2, 4):
        name = f"embeddings.{index}"
        rows = torch.relu(torch.nn.functional.linear(rows, state[f"{name}.weight"], state[f"{name}.bias"]))
    pca = torch.load(weights / PCA, weights_only=False)
    whitened = (pca["pca_eigen_vectors"] @ (rows.numpy().T - pca["pca_means"])).T
    return np.round((np.clip(whitened, -2, 2) + 2) * (255 / 4))


def test_the_graph_gives_what_torchvggish_gives(graph, weights):
    windows = np.stack([window for _, window in VGGish(graph).windows([speech(4)], 0.0, np.arange(0.5, 4))])
    found = graph.run({"windows": windows})["sound"]
    bytes_ = published(weights, windows)
    assert found.shape == (4, 128)
    assert bytes_.std() > 10
    assert len(np.unique(bytes_)) > 10
    np.testing.assert_allclose((found + 2) * (255 / 4), bytes_, atol=0.501)  # the half step that 8 bits round away


def test_the_pca_may_be_tensorflows_file(graph, weights, tmp_path):
    (tmp_path / NETWORK).symlink_to(weights / NETWORK)
    values = torch.load(weights / PCA, weights_only=False)
    np.savez(tmp_path / "vggish_pca_params.npz", **values)
    network = VGGishNetwork()
    network.load(tmp_path)
    windows = np.random.default_rng(0).standard_normal((2, 96, 64)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(windows)).numpy()
    np.testing.assert_allclose(graph.run({"windows": windows})["sound"], expected, atol=1e-4)


def test_weights_that_are_missing_or_damaged_are_refused(weights, tmp_path):
    with pytest.raises(JsfError, match=NETWORK):
        write_vggish(tmp_path / "sound.onnx", tmp_path)
    (tmp_path / NETWORK).symlink_to(weights / NETWORK)
    with pytest.raises(JsfError, match=r"vggish_pca_params"):
        write_vggish(tmp_path / "sound.onnx", tmp_path)
    (tmp_path / PCA).write_bytes(b"damaged")
    with pytest.raises(JsfError, match="does not hold VGGish's weights"):
        write_vggish(tmp_path / "sound.onnx", tmp_path)


def test_weights_that_would_run_code_are_refused(weights, tmp_path):
    class Code:
        def __reduce__(self):
            return print, ("it runs",)

    (tmp_path / NETWORK).symlink_to(weights / NETWORK)
    torch.save({"pca_means": Code()}, tmp_path / PCA)
    with pytest.raises(JsfError, match="does not hold"):
        write_vggish(tmp_path / "sound.onnx", tmp_path)


def test_without_a_network_the_files_are_named(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(JsfError, match="no network") as caught:
        write_vggish(tmp_path / "sound.onnx")
    assert NETWORK in caught.value.fix
    assert "--sound-weights" in caught.value.fix


def test_an_extractor_with_vggish(folder, write_video, tmp_path):
    extractor = Extractor.open(folder)
    assert extractor.width == 3 + 128
    video = write_video("clip.mkv", range(0, 1000, 40), sound=np.clip(speech(1), -0.9, 0.9))
    sequence = extractor.extract(video)
    assert sequence.features.shape == (5, 3 + 128)
    assert sequence.features[:, 3:].std(axis=0).any()
    sequence.save(tmp_path / "clip.npz")
    hashes = extractor.spec.sha256[:12], extractor.spec.sound_sha256[:12]
    assert load_sequence(tmp_path / "clip.npz").extractor == "channels+vggish 1 {} {}".format(*hashes)
    silent = extractor.extract(write_video("silent.mkv"))
    assert not silent.features[:, 3:].any()


def test_a_changed_or_missing_sound_graph_is_refused(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "sound.onnx").write_bytes(b"other")
    with pytest.raises(JsfError, match=r"sound\.onnx was changed"):
        Extractor.open(copy)
    (copy / "sound.onnx").unlink()
    with pytest.raises(JsfError, match=r"sound\.onnx"):
        Extractor.open(copy)
