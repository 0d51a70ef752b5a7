import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jsf.data import sequence
from jsf.data.errors import JsfError
from jsf.data.sequence import FeatureSequence, load_sequence, pad, sample_steps

FEATURES = np.arange(12, dtype=np.float32).reshape(4, 3)


def npy(array: npt.NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array)
    return buffer.getvalue()


def archive(path: Path, **members: bytes) -> Path:
    """An .npz with these bytes as its arrays, whatever they are."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@given(
    features=arrays.arrays(
        st.sampled_from([np.float16, np.float32]),
        st.tuples(st.integers(1, 50), st.integers(1, 8)),
        elements=st.floats(-1000, 1000, width=16),
    ),
    fps=st.floats(0, 120, width=32),
    extractor=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20),
)
def test_round_trip(
    features: npt.NDArray[Any], fps: float, extractor: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("sequence") / "video.npz"
    FeatureSequence(features, fps, extractor, "clip.mp4").save(path)
    loaded = load_sequence(path)
    np.testing.assert_array_equal(loaded.features, features)
    assert loaded.features.dtype == features.dtype
    assert (loaded.fps, loaded.extractor, loaded.source) == (fps, extractor, str(path))


def test_features_alone_are_enough(tmp_path: Path) -> None:
    np.savez(tmp_path / "video.npz", features=FEATURES)
    loaded = load_sequence(tmp_path / "video.npz")
    assert (loaded.fps, loaded.extractor) == (0.0, "")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros((0, 3), np.float32), r"no frames \(T = 0\)"),
        (np.zeros((3, 0), np.float32), r"no width \(D = 0\)"),
        (np.zeros(3, np.float32), r"float32 \[3\], expected float16 or float32 \[T, D\]"),
        (np.zeros((1, 2, 3), np.float32), r"float32 \[1, 2, 3\]"),
        (np.zeros((2, 3), np.float64), r"float64 \[2, 3\]"),
        (np.zeros((2, 3), np.int32), r"int32 \[2, 3\]"),
        (np.full((2, 3), "a"), r"<U1 \[2, 3\]"),
        (np.array([[0, 0], [0, np.nan]], np.float32), "NaN or infinity, first at step 1 of 2"),
        (np.array([[np.inf, 0]], np.float16), "NaN or infinity, first at step 0 of 1"),
    ],
)
def test_invalid_features_are_refused_made_or_loaded(features: npt.NDArray[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(JsfError, match=message):
        FeatureSequence(features)
    path = archive(tmp_path / "video.npz", features=npy(features))
    with pytest.raises(JsfError, match=message) as caught:
        load_sequence(path)
    assert str(path) in caught.value.message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist") as caught:
        load_sequence(tmp_path / "video.npz")
    assert caught.value.fix.startswith("Make it with: jsf extract")


def test_a_file_without_features_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "video.npz", x=FEATURES)
    with pytest.raises(JsfError, match="no array 'features', only: x"):
        load_sequence(tmp_path / "video.npz")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise RuntimeError('unpickled')",)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    bomb = np.array([[Bomb()]], dtype=object)
    path = tmp_path / "video.npz"
    np.savez(path, features=bomb)
    with pytest.raises(RuntimeError, match="unpickled"):
        np.load(path, allow_pickle=True)["features"]
    with pytest.raises(JsfError, match="not a feature sequence"):
        load_sequence(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(JsfError, match="not a feature sequence"):
        load_sequence(path)


@pytest.mark.parametrize("name", ["fps", "extractor"])
def test_a_pickled_field_beside_good_features_is_refused(name: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "video.npz", features=FEATURES, **{name: np.array(Bomb(), dtype=object)})
    with pytest.raises(JsfError, match="not a feature sequence"):
        load_sequence(tmp_path / "video.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_cut_anywhere_is_refused(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "video.npz"
    save(path, features=np.random.default_rng(0).standard_normal((8, 8), np.float32))
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(JsfError, match="not a feature sequence"):
            load_sequence(path)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_file_with_any_byte_changed_is_refused_or_read_without_another_error(save: Any, tmp_path: Path) -> None:
    path = tmp_path / "video.npz"
    save(path, features=np.random.default_rng(0).standard_normal((4, 4), np.float32))
    whole = path.read_bytes()
    refused = 0
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            load_sequence(path)
        except JsfError:
            refused += 1
    assert refused > len(whole) // 2


def test_bytes_that_are_no_array_are_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError):
        load_sequence(archive(tmp_path / "video.npz", features=b"these bytes are no array"))


def test_an_array_that_declares_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 1 << 10)})
    path = archive(tmp_path / "video.npz", features=header.getvalue() + bytes(64))
    with pytest.raises(JsfError):
        load_sequence(path)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence, "MAX_BYTES", 1 << 16)
    path = tmp_path / "video.npz"
    np.savez_compressed(path, features=np.zeros((1 << 10, 1 << 8), np.float32))
    assert path.stat().st_size < 1 << 13
    with pytest.raises(JsfError, match=r"unpacks to 1,048,\d+ bytes; at most 65,536 are read"):
        load_sequence(path)


@given(length=st.integers(1, 5000), limit=st.integers(1, 80))
def test_sampled_steps_are_equidistant_and_within_the_sequence(length: int, limit: int) -> None:
    steps = sample_steps(length, limit)
    assert len(steps) == min(length, limit)
    assert steps[0] == 0
    assert steps[-1] < length
    gaps = np.diff(steps)
    assert ((gaps >= 1) & (gaps <= -(-length // limit))).all()
    if length > limit:
        assert steps.tolist() == [i * length // limit for i in range(limit)]


@given(lengths=st.lists(st.integers(1, 100), min_size=1, max_size=6), steps=st.integers(1, 50))
def test_padding_keeps_every_step_and_is_zero_on_the_right(lengths: list[int], steps: int) -> None:
    sequences = [np.arange(1, 2 * length + 1, dtype=np.float16).reshape(length, 2) for length in lengths]
    padded, valid = pad(sequences, steps)
    assert padded.shape == (len(lengths), steps, 2)
    assert (padded.dtype, valid.dtype) == (np.float32, np.int32)
    assert valid.tolist() == [min(length, steps) for length in lengths]
    for row, count, given_sequence in zip(padded, valid, sequences, strict=True):
        np.testing.assert_array_equal(row[:count], given_sequence[sample_steps(len(given_sequence), steps)])
        assert not row[count:].any()


def test_padding_is_to_forty_steps() -> None:
    assert pad([FEATURES])[0].shape == (1, 40, 3)
