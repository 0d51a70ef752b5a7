"""ONNX Runtime: the embedded default on CPUs, and CUDA where `onnxruntime-gpu` is installed."""

from pathlib import Path
from typing import Any

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.base import Arrays, Graph, TensorSpec

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}

CRASHING = "MatmulTransposeFusion"
"""ONNX Runtime 1.32 crashes in it, the whole process, where an FP16 graph transposes an activation before a product."""

REQUANTIZING = "WeightBiasQuantization"
"""It reduces a layer that was left in FP32 between two in INT8, with one scale for all of its channels."""

_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(uint8)": np.dtype(np.uint8),
}


class OnnxRuntimeGraph(Graph):
    """An ONNX file in an ONNX Runtime session.

    Args:
        path: the .onnx file.
        device: "cpu" or "cuda".
        threads: that share a run on the CPU; 0, as many as there are cores.

    Raises:
        JsfError: the package or the device is not there, or the file is not a graph it can run.
    """

    def __init__(self, path: Path, device: str = "cpu", threads: int = 0) -> None:
        ort = require("onnxruntime", "gpu" if device == "cuda" else "cpu")
        _check_device(ort, device)
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        # Threads that spin between calls would take the cores from decoding and from other programs.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(
                path, options, providers=[PROVIDERS[device]], disabled_optimizers=[CRASHING, REQUANTIZING]
            )
        except Exception as error:  # ONNX Runtime raises its own classes, which have no common base
            raise JsfError(f"{path} cannot be loaded by onnxruntime {ort.__version__}: {error}") from error
        _check_running(self._session.get_providers(), device)
        self._session.disable_fallback()  # else a failure on the GPU runs again on the CPU, and says so to nobody
        self._path = path
        self.inputs = tuple(_spec(value) for value in self._session.get_inputs())
        self.outputs = tuple(_spec(value) for value in self._session.get_outputs())
        self.description = f"onnxruntime {ort.__version__} on {device}"

    def _run(self, arrays: Arrays) -> Arrays:
        names = [spec.name for spec in self.outputs]
        try:
            return dict(zip(names, self._session.run(names, arrays), strict=True))
        except Exception as error:  # out of memory, or an id that the weights do not have
            raise JsfError(f"onnxruntime cannot run {self._path}: {error}") from error


def _check_device(ort: Any, device: str) -> None:
    if device not in PROVIDERS:
        raise JsfError(f"onnxruntime has no device '{device}' here, expected one of: {', '.join(PROVIDERS)}.")
    if PROVIDERS[device] not in ort.get_available_providers():
        raise JsfError(
            f"device '{device}' is not here: this onnxruntime offers only {ort.get_available_providers()}.",
            "Run with --device cpu, or on a machine with a GPU: pip uninstall onnxruntime && pip install '.[gpu]'",
        )


def _check_running(providers: list[str], device: str) -> None:
    # onnxruntime-gpu falls back to the CPU with only a log line when CUDA does not load.
    if providers[0] != PROVIDERS[device]:
        raise JsfError(
            f"device '{device}' was asked for, but onnxruntime runs {providers[0]}: CUDA did not load.",
            "Check the driver with `nvidia-smi`, or run with --device cpu.",
        )


def _spec(value: Any) -> TensorSpec:
    if value.type not in _TYPES:
        raise JsfError(f"'{value.name}' of the graph is a {value.type}, expected one of: {', '.join(_TYPES)}.")
    return TensorSpec(value.name, _TYPES[value.type], tuple(d if isinstance(d, int) else str(d) for d in value.shape))
