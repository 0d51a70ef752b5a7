import hashlib
from pathlib import Path

import pytest

from jsf.data.errors import JsfError
from jsf.data.files import read_json, replacing, sha256, write_json


def test_a_file_appears_whole_under_new_folders(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "scores.csv"
    with replacing(target) as temporary:
        temporary.write_text("whole")
        assert temporary.suffix == ".csv"
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_an_exception_keeps_the_old_file_and_leaves_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "scores.csv"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(target) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_a_folder(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "stale").touch()
    with replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "manifest.json").touch()
    assert [path.name for path in target.iterdir()] == ["manifest.json"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_exception_keeps_the_old_folder_and_leaves_no_temporary(tmp_path: Path) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "manifest.json").touch()
    with pytest.raises(ZeroDivisionError), replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "half").touch()
        raise ZeroDivisionError
    assert [path.name for path in target.iterdir()] == ["manifest.json"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_target_that_cannot_be_written_is_an_error_in_words(tmp_path: Path) -> None:
    target = tmp_path / "folder.json"
    target.mkdir()
    with pytest.raises(JsfError, match=r"cannot write .*folder\.json"):
        write_json(target, {})
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_be_made_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JsfError, match="cannot write"):
        write_json(tmp_path / "file" / "value.json", {})


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    path = tmp_path / "graph.onnx"
    path.write_bytes(content)
    assert sha256(path) == hashlib.sha256(content).hexdigest()


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"sentence": "le café", "scores": [1.5, -2, None], "nested": {"a": True}}
    write_json(tmp_path / "value.json", value)
    assert read_json(tmp_path / "value.json") == value


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not readable JSON"),
        (b"", "not readable JSON"),
        (b'{"a": "\xff"}', "not readable JSON"),
        (b"[1]", "a JSON list, expected an object"),
        (b"null", "a JSON NoneType, expected an object"),
        (b"[" * 100_000, "not readable JSON"),
    ],
)
def test_damaged_json_is_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    path.write_bytes(content)
    with pytest.raises(JsfError, match=message):
        read_json(path)


def test_missing_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JsfError, match="does not exist"):
        read_json(tmp_path / "absent.json")
