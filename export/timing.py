"""TensorRT's timing cache: what its builder measured on this GPU, shared by all builds of one version."""

from pathlib import Path
from typing import Any

from filelock import FileLock

from jsf.data.files import replacing


def use_timing_cache(config: Any, path: Path) -> None:
    """Gives the builder what earlier builds measured."""
    if not config.set_timing_cache(_load(config, path), False):
        config.set_timing_cache(config.create_timing_cache(b""), False)  # the one on disk is of another device


def save_timing_cache(config: Any, path: Path) -> None:
    """Adds what this build measured to the file, and loses nothing that another build adds at the same time.

    Raises:
        JsfError, OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        timing_cache = config.get_timing_cache()
        timing_cache.combine(_load(config, path), False)
        with replacing(path) as temporary:
            temporary.write_bytes(bytes(timing_cache.serialize()))


def _load(config: Any, path: Path) -> Any:
    content = path.read_bytes() if path.is_file() else b""
    return config.create_timing_cache(content) or config.create_timing_cache(b"")  # TensorRT refuses a damaged one
