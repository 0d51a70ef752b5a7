import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence
from jsf.data.store import FeatureStore, open_features, read_features

A = np.arange(6, dtype=np.float32).reshape(3, 2)
B = np.ones((5, 2), np.float16)


def hdf5(path: Path, **datasets: object) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["extractor"] = "cnn 1"
        for name, value in datasets.items():
            file.create_dataset(name, data=value)
    return path


def folder(path: Path, extractor: str = "cnn 1") -> Path:
    FeatureSequence(A, 5, extractor).save(path / "a.npz")
    FeatureSequence(B, 5, "cnn 1").save(path / "b.npz")
    return path


@pytest.fixture(params=["hdf5", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> FeatureStore:
    return open_features(hdf5(tmp_path / "f.hdf5", a=A, b=B) if request.param == "hdf5" else folder(tmp_path / "f"))


def test_both_kinds_of_store_read_alike(store: FeatureStore) -> None:
    assert store.ids() == ["a", "b"]
    assert store.extractor == "cnn 1"
    for video_id, features in (("a", A), ("b", B)):
        read = store.read(video_id)
        np.testing.assert_array_equal(read, features)
        assert read.dtype == features.dtype
    assert store.width(["a", "b"]) == 2


@pytest.mark.parametrize("video_id", ["c", "../a", "a/b"])
def test_an_unknown_id_is_refused_with_examples(store: FeatureStore, video_id: str) -> None:
    with pytest.raises(JsfError, match=rf"no features of '{video_id}'; it holds 2 videos: \['a', 'b'\]"):
        store.read(video_id)


@pytest.mark.parametrize("name", ["absent", "notes.txt"])
def test_what_is_no_store_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(JsfError, match="not a feature store"):
        open_features(tmp_path / name)


def test_a_missing_hdf5_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist"):
        open_features(tmp_path / "f.h5")


def test_a_truncated_hdf5_file_is_refused(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "f.h5", a=np.ones((500, 2), np.float32))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(JsfError, match="not a readable HDF5 file"):
        open_features(path)


def test_a_damaged_hdf5_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "a", data=np.random.default_rng(0).random((64, 2), np.float32), compression="gzip"
        )
        block = dataset.id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[block.byte_offset : block.byte_offset + block.size] = bytes(block.size)
    path.write_bytes(content)
    with pytest.raises(JsfError, match=r"f\.h5#a"):
        open_features(path).read("a")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((0, 2), np.float32), "T = 0"),
        (np.full((1, 2), np.nan, np.float32), "NaN"),
        (np.zeros((1, 2), np.float64), "float64"),
        (np.zeros(2, np.float32), r"\[2\]"),
        ("text", "a"),
        (h5py.Empty("f4"), "a"),
    ],
)
def test_invalid_features_in_hdf5_are_refused(value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(JsfError, match=message) as caught:
        open_features(hdf5(tmp_path / "f.h5", a=value)).read("a")
    assert "f.h5#a" in caught.value.message


def test_a_group_in_place_of_features_is_refused(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "f.h5", **{"group/a": A})
    with pytest.raises(JsfError, match="not a feature array"):
        open_features(path).read("group")
    np.testing.assert_array_equal(open_features(path).read("group/a"), A)


def test_a_huge_array_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", shape=(1 << 40, 1 << 10), dtype="f4", chunks=(1, 1 << 10))
    with pytest.raises(JsfError, match="at most 1,073,741,824 bytes"):
        open_features(path).read("a")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match=r"holds no \.npz files") as caught:
        open_features(tmp_path)
    assert caught.value.fix.startswith("Make them with: jsf extract")


def test_a_hidden_file_in_a_folder_is_no_video(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / ".c.12345678.npz").touch()
    assert open_features(tmp_path).ids() == ["a", "b"]


def test_two_extractors_in_a_folder_are_refused(tmp_path: Path) -> None:
    store = open_features(folder(tmp_path, extractor="cnn 2"))
    with pytest.raises(JsfError, match=r"b\.npz is by 'cnn 1', others in its folder by 'cnn 2'"):
        store.read("b")


def test_two_widths_are_refused(tmp_path: Path) -> None:
    store = open_features(hdf5(tmp_path / "f.h5", a=A, b=np.ones((1, 7), np.float32)))
    with pytest.raises(JsfError, match=r"differ in width: 2 \(a\), 7 \(b\)"):
        store.width(["a", "b"])


def test_a_store_without_an_extractor(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["a"] = A
    assert open_features(tmp_path / "f.h5").extractor == ""


def test_one_video_by_name(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "f.h5", a=A)
    sequence = read_features(f"{path}#a")
    np.testing.assert_array_equal(sequence.features, A)
    assert (sequence.extractor, sequence.source) == ("cnn 1", f"{path}#a")
    FeatureSequence(B).save(tmp_path / "clip#2.npz")
    np.testing.assert_array_equal(read_features(str(tmp_path / "clip#2.npz")).features, B)


def test_an_hdf5_file_without_an_id_names_one(tmp_path: Path) -> None:
    path = hdf5(tmp_path / "f.h5", a=A, b=B)
    with pytest.raises(JsfError, match="holds 2 videos") as caught:
        read_features(str(path))
    assert caught.value.fix == f"Name one: {path}#a"


def test_an_empty_hdf5_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="holds no videos"):
        read_features(str(hdf5(tmp_path / "f.h5")))


def test_without_h5py_the_error_names_the_install_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hdf5(tmp_path / "f.h5", a=A)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(JsfError, match="'h5py'") as caught:
        open_features(path)
    assert "pip install '.[" in caught.value.fix
