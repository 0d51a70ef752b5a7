"""A part of a model -> an ONNX graph, through PyTorch's exporter."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor, nn

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing
from jsf.data.onnx_model import strip_traces

Shapes: TypeAlias = tuple[dict[int, str], ...]
"""Which lengths of each input are symbolic, and their names."""

OPSET = 20
FOLD_LIMIT = 1 << 30
"""Bytes up to which constants are folded: an LSTM's weights are reordered at export, not at every load."""


def write_graph(
    module: nn.Module, inputs: dict[str, Tensor], shapes: Shapes | tuple[Shapes], outputs: list[str], path: Path
) -> None:
    """Writes a graph whose first output is its only one; the others remain named values within."""
    onnx = require("onnx", "export")
    optimizer = require("onnxscript.optimizer", "export")
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            tuple(inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=outputs,
            dynamic_shapes=shapes,
            verbose=False,
        )
        assert program is not None
        optimizer.optimize(program.model, input_size_limit=FOLD_LIMIT, output_size_limit=FOLD_LIMIT)
    graph = program.model_proto
    graph.graph.value_info.extend(graph.graph.output[1:])
    del graph.graph.output[1:]
    strip_traces(graph)
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise JsfError(f"the exported graph {path.name} is not valid ONNX: {error}") from error
    with replacing(path) as temporary:
        temporary.write_bytes(graph.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the tracer's notes about packages and internals that do not concern the user."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
