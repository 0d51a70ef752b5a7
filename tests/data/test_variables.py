"""Variables by name, from an .npz or a TensorFlow checkpoint: what is read, and what never is."""

import io
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jsf.data import variables as module
from jsf.data.errors import JsfError
from jsf.data.variables import read_variables

WEIGHTS = {
    "video_cnn/conv1/weights": np.arange(6, dtype=np.float32).reshape(3, 2),
    "video_cnn/conv1/biases:0": np.float16([1, 2]),
    "scale": np.float32(3),
}
OPTIMIZER = {
    "video_cnn/conv1/weights/Adam": np.float32([np.nan]),
    "video_cnn/conv1/weights/Adam_1:0": np.zeros(0, np.float32),
    "beta1_power": np.float32(0.5),
    "train/beta2_power": np.float32(0.5),
    "global_step": np.int64(7),
    "epoch": np.int64(7),
}


def check(found):
    assert set(found) == {"video_cnn/conv1/weights", "video_cnn/conv1/biases", "scale"}
    for name, value in WEIGHTS.items():
        assert np.array_equal(found[name.removesuffix(":0")], value)


def test_an_npz_is_read_without_the_optimizer(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", **WEIGHTS, **OPTIMIZER)
    check(read_variables(tmp_path / "weights.npz"))
    np.savez_compressed(tmp_path / "small.npz", **WEIGHTS)
    check(read_variables(tmp_path / "small.npz"))


class Reader:
    """What TensorFlow's reader of a checkpoint offers."""

    def __init__(self, prefix: str) -> None:
        if "damaged" in prefix:
            raise RuntimeError("Data loss: not an sstable")
        self.values = {**WEIGHTS, **OPTIMIZER}

    def get_variable_to_shape_map(self) -> dict[str, list[int]]:
        return {name: list(value.shape) for name, value in self.values.items()}

    def get_variable_to_dtype_map(self) -> dict[str, SimpleNamespace]:
        return {name: SimpleNamespace(size=value.itemsize) for name, value in self.values.items()}

    def get_tensor(self, name: str) -> object:
        assert name not in OPTIMIZER or name == "epoch", "the optimizer's arrays are never in memory"
        return self.values[name]


@pytest.fixture
def tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(train=SimpleNamespace(load_checkpoint=Reader)))


@pytest.mark.usefixtures("tensorflow")
class TestTensorFlow:
    def test_a_checkpoint_is_named_by_its_prefix(self, tmp_path: Path) -> None:
        (tmp_path / "model.ckpt-10.index").touch()
        check(read_variables(tmp_path / "model.ckpt-10"))

    def test_a_damaged_one_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "damaged.index").touch()
        with pytest.raises(JsfError, match=r"damaged is not a TensorFlow checkpoint that can be read: Data loss"):
            read_variables(tmp_path / "damaged")

    def test_a_large_one_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "model.index").touch()
        monkeypatch.setattr(module, "MAX_BYTES", 20)
        with pytest.raises(JsfError, match=r"model unpacks to 40 bytes; at most 20 are read"):
            read_variables(tmp_path / "model")


def test_without_tensorflow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "model.index").touch()
    with pytest.raises(JsfError, match="needs the Python package 'tensorflow'") as refusal:
        read_variables(tmp_path / "model")
    assert "pip install '.[import]'" in refusal.value.fix


@pytest.mark.parametrize("name", ["gone", "gone.ckpt-3", "model.index", "folder"])
def test_what_is_neither_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "model.index").touch()
    with pytest.raises(JsfError, match=rf"{name} is neither an \.npz nor the prefix") as refusal:
        read_variables(tmp_path / name)
    assert "model.ckpt-1000.index" in refusal.value.fix


@pytest.mark.parametrize("value", [np.float32([1, np.nan]), np.float64([np.inf]), np.zeros((3, 0), np.float32)])
def test_arrays_that_are_no_weights_are_refused(value: np.ndarray, tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", **{"video_cnn/weights": value})
    with pytest.raises(JsfError, match=r"'video_cnn/weights' \[.*\] is empty, or holds NaN or infinity"):
        read_variables(tmp_path / "weights.npz")


def write_npz(path: Path, header: bytes, content: bytes = b"") -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights.npy", header + content)


def header(shape: str, kind: str = "<f4") -> bytes:
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def test_a_header_that_declares_more_than_is_there_is_refused_before_anything_is_allocated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "weights.npz"
    write_npz(path, header("(2, 2)"), np.ones(4, np.float32).tobytes())
    assert read_variables(path)["weights"].tolist() == [[1, 1], [1, 1]]
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was loaded"))
    for shape in ("(1099511627776,)", "(3,)", "(5,)", "(-4,)"):
        write_npz(path, header(shape), np.ones(4, np.float32).tobytes())
        with pytest.raises(JsfError, match=r"weights\.npz is not an \.npz of arrays by name: weights\.npy declares"):
            read_variables(path)


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 1000)
    np.savez_compressed(tmp_path / "weights.npz", weights=np.zeros(1000, np.float32))
    with pytest.raises(JsfError, match=r"weights\.npz unpacks to 4,128 bytes; at most 1,000 are read"):
        read_variables(tmp_path / "weights.npz")


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.target,)


def test_a_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    np.savez(tmp_path / "weights.npz", weights=np.array([Trap(tmp_path / "ran")], object))
    with pytest.raises(JsfError, match=r"weights\.npz is not an \.npz of arrays by name"):
        read_variables(tmp_path / "weights.npz")
    assert not (tmp_path / "ran").exists()


def test_a_folder_and_a_file_that_is_not_there_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(JsfError, match=r"folder\.npz is a folder"):
        read_variables(tmp_path / "folder.npz")
    with pytest.raises(JsfError, match=r"gone\.npz does not exist"):
        read_variables(tmp_path / "gone.npz")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_refused_or_read_as_arrays(data: st.DataObject, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **WEIGHTS)
    content = bytearray(buffer.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "weights.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert all(np.isfinite(value).all() for value in read_variables(path).values())
    except JsfError as error:
        assert "weights.npz" in error.message
