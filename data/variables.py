"""The variables of a TensorFlow checkpoint, or of an .npz that holds them by name: the authors' released weights."""

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.sequence import UNREADABLE

MAX_BYTES = 4 << 30
"""The largest checkpoint that is read: the authors' of fill-in-the-blank is a tenth of this."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_OPTIMIZER = ("/Adam", "/Adam_1", "beta1_power", "beta2_power", "global_step")


def read_variables(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Name -> array, of all variables that hold floats but the optimizer's; a name's last ":0" is left out.

    Args:
        path: an .npz, read without pickle and after its declared sizes are checked; or the prefix of a TensorFlow
            checkpoint, PREFIX.index and PREFIX.data-*, which needs TensorFlow.

    Raises:
        JsfError: the file is missing, damaged or too large, or a variable is empty or not finite.
    """
    if path.suffix == ".npz":
        variables = _read_npz(path)
    elif path.with_name(f"{path.name}.index").is_file():
        variables = _read_checkpoint(path)
    else:
        raise JsfError(
            f"{path} is neither an .npz nor the prefix of a TensorFlow checkpoint.",
            "Expected weights.npz; or model.ckpt-1000 where model.ckpt-1000.index and model.ckpt-1000.data-* lie.",
        )
    variables = {name.removesuffix(":0"): array for name, array in variables.items() if array.dtype.kind == "f"}
    for name, array in variables.items():
        if not array.size or not np.isfinite(array).all():
            raise JsfError(f"{path}: '{name}' {list(array.shape)} is empty, or holds NaN or infinity.")
    return variables


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    if not path.is_file():
        raise JsfError(f"{path} {'is a folder' if path.is_dir() else 'does not exist'}.")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(path, sum(member.file_size for member in archive.infolist()))
            for member in archive.infolist():
                _check_declared(archive, member)
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if _is_weight(name)}
    except UNREADABLE as error:
        raise JsfError(f"{path} is not an .npz of arrays by name: {error}.") from error


def _check_declared(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    """Raises ValueError unless an array has the size that its header declares."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} has version {version} of the .npy format")
        shape, _, dtype = _HEADERS[version](file)
        if math.prod(shape) * dtype.itemsize != member.file_size - file.tell():
            raise ValueError(f"{member.filename} declares {list(shape)} and holds {member.file_size:,} bytes")


def _read_checkpoint(prefix: Path) -> dict[str, npt.NDArray[Any]]:
    tensorflow = require("tensorflow", "import")
    try:
        reader = tensorflow.train.load_checkpoint(str(prefix))
        types = reader.get_variable_to_dtype_map()
        shapes = {name: shape for name, shape in reader.get_variable_to_shape_map().items() if _is_weight(name)}
        _check_size(prefix, sum(math.prod(shape) * types[name].size for name, shape in shapes.items()))
        return {name: np.asarray(reader.get_tensor(name)) for name in shapes}
    except JsfError:
        raise
    except Exception as error:  # TensorFlow's errors have no common base
        raise JsfError(f"{prefix} is not a TensorFlow checkpoint that can be read: {error}") from error


def _is_weight(name: str) -> bool:
    return not name.removesuffix(":0").endswith(_OPTIMIZER)


def _check_size(path: Path, size: int) -> None:
    if size > MAX_BYTES:
        raise JsfError(f"{path} unpacks to {size:,} bytes; at most {MAX_BYTES:,} are read.")
