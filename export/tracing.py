"""A part of a model -> an ONNX graph, through PyTorch's exporter."""

import ast
import contextlib
import logging
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

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

LAYERS = ("Conv", "MatMul", "Gemm", "LSTM", "GRU")
"""The operations with weights."""

_WRAPPERS = re.compile(r"^((matcher|fusion|tower|_empty_\w+)(\.|$))+|\.linear$")
"""What a module's path has before and after the names that the paper uses; `_empty_...` is the exporter's own."""


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
    name_nodes(graph.graph)
    strip_traces(graph)
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise JsfError(f"the exported graph {path.name} is not valid ONNX: {error}") from error
    with replacing(path) as temporary:
        temporary.write_bytes(graph.SerializeToString(deterministic=True))


def name_nodes(graph: Any) -> None:
    """Names each layer of a graph by its module's path, `jst.d2`, and each other node `<path>/<operation>`.

    A name that is taken gets a number: a GRU that runs twice is `low.gru` and `low.gru@2`.
    """
    seen: Counter[str] = Counter()
    for node in graph.node:
        path = _module(node)
        name = path if path and node.op_type in LAYERS else f"{path}/{node.op_type}".lstrip("/")
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}@{seen[name]}"


def _module(node: Any) -> str:
    """The path of the module that a node was traced in; "" where the exporter's notes do not say."""
    notes = {entry.key: entry.value for entry in node.metadata_props}
    scopes = ast.literal_eval(notes.get("pkg.torch.onnx.name_scopes", "[]"))  # modules, outermost first, then the node
    return _WRAPPERS.sub("", scopes[-2]) if len(scopes) > 1 else ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences the tracer's notes about packages and internals that do not concern the user."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
