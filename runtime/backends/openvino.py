"""OpenVINO: an optional backend for CPUs, on x86-64 faster than ONNX Runtime in INT8."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.runtime.backends.base import Arrays, Graph, TensorSpec

Shapes = tuple[tuple[int, ...], ...]

OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
"""Left to itself it computes in BF16 where the CPU can; LATENCY gives one run all physical cores."""

OFTEN, FEW = 32, 8
"""Shapes that came so often are compiled for alone, the first few: 6% faster, for 0.1 s and 35 MB at the paper's size.
Not of INT8 graphs: with other fusions they round elsewhere, and the same pair would get another score."""

TELEMETRY = "openvino_telemetry"


class OpenVinoGraph(Graph):
    """An ONNX file compiled for the CPU, once for all lengths, and again for the shapes that come most often.

    Products of INT8 graphs are INT8, all others FP32: of an FP16 graph the weights, inputs and outputs are FP16. An
    index past the end reads zeros. Runs of several threads take turns.

    Args:
        path: the .onnx file.

    Raises:
        JsfError: the package is not there, or the file is not a graph that it can run.
    """

    def __init__(self, path: Path) -> None:
        with without_telemetry():
            openvino = require("openvino", "openvino")
        version = openvino.__version__.partition("-")[0]
        self._path, self._lock = path, Lock()
        self._runs: Counter[Shapes] = Counter()
        self._fixed: dict[Shapes, Any] = {}
        try:
            # Its reader for any format would hand a damaged file to the parsers of all the others.
            reader = openvino.frontend.FrontEndManager().load_by_framework("onnx")
            model = reader.convert(reader.load(str(path)))
            self.inputs = tuple(_spec(port) for port in model.inputs)
            self.outputs = tuple(_spec(port) for port in model.outputs)
            self._model, self._core = model, openvino.Core()
            self._any = self._compiled(model)
            quantized = any(node.get_type_name() == "FakeQuantize" for node in model.get_ops())
            self._specializes = model.is_dynamic() and not quantized
        except Exception as error:  # its own classes, which have no common base
            raise JsfError(f"{path} cannot be loaded by openvino {version}: {_why(error)}") from error
        if not self.outputs:  # how it reads a file that is empty or ends early
            raise JsfError(f"{path} cannot be loaded by openvino {version}: it holds no graph.")
        half = any(spec.dtype == np.float16 for spec in self.inputs + self.outputs)
        self.description = f"openvino {version} on cpu" + (" (products in fp32)" if half else "")

    def _run(self, arrays: Arrays) -> Arrays:
        try:
            with self._lock:
                found = self._request(arrays).infer(dict(enumerate(arrays.values())))
        except Exception as error:  # out of memory, or lengths that do not fit each other
            raise JsfError(f"openvino cannot run {self._path}: {_why(error)}") from error
        return dict(zip((spec.name for spec in self.outputs), found.values(), strict=True))

    def _request(self, arrays: Arrays) -> Any:
        """What runs arrays of these shapes fastest."""
        shapes = tuple(array.shape for array in arrays.values())
        if self._specializes and shapes not in self._fixed and len(self._fixed) < FEW:
            self._runs[shapes] += 1
            if self._runs[shapes] == OFTEN:
                model = self._model.clone()
                model.reshape(dict(enumerate(shapes)))
                self._fixed[shapes] = self._compiled(model)
        return self._fixed.get(shapes, self._any)

    def _compiled(self, model: Any) -> Any:
        return self._core.compile_model(model, "CPU", OPTIONS).create_infer_request()


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Imports of `openvino` report to nobody in here; else they do, to Google Analytics, unless the user opted out."""
    sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]  # None: importing it fails, and a stub serves
    try:
        yield
    finally:
        if sys.modules.get(TELEMETRY) is None:
            sys.modules.pop(TELEMETRY, None)


def _spec(port: Any) -> TensorSpec:
    """An input or output; OpenVINO forgets what ONNX calls a symbolic length."""
    shape = tuple("?" if length.is_dynamic else length.get_length() for length in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), np.dtype(port.get_element_type().to_dtype()), shape)


def _why(error: Exception) -> str:
    """The message without the places in OpenVINO's sources."""
    places = "Exception from", "Check '", "FrontEnd API failed"
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith(places)) or str(error)
