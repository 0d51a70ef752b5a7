"""The lock of a path."""

import pytest

from jsf.data.errors import JsfError
from jsf.data.locks import locked


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache of the user's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_one_at_a_time_and_again_once_it_is_free(tmp_path):
    path = tmp_path / "out.h5"
    with locked(path), pytest.raises(JsfError, match=r"another process is writing .*out\.h5"), locked(path, wait=False):
        pass
    with locked(path, wait=False), locked(tmp_path / "other.h5", wait=False):
        assert not path.exists()


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(JsfError, match=r"cannot lock .*out.*file") as found, locked(tmp_path / "out"):
        pass
    assert found.value.fix == "Check the user's cache."
