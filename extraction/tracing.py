"""A PyTorch network to an ONNX graph of one input and one output, checked against PyTorch."""

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.onnx_model import strip_traces
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

OPSET = 20
TOLERANCE = 1e-4
"""The largest difference from PyTorch, as a share of the largest output where that is above 1."""


def write_graph(network: torch.nn.Module, example: torch.Tensor, names: tuple[str, str], path: Path) -> int:
    """Writes a network as an ONNX file and runs it beside PyTorch.

    Args:
        network: in evaluation mode; [B, ...] f32 -> [B, W] f32.
        example: [B, ...], B > 1, of values as the network gets them.
        names: of the graph's input and output.
        path: the file.

    Returns:
        W.

    Raises:
        JsfError: a package is missing, or ONNX Runtime and PyTorch disagree by more than 1e-4.
    """
    onnx = require("onnx", "export")
    require("onnxscript", "export")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports that torchvision is absent; it is not needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's exporter warns about itself
        program: Any = torch.onnx.export(
            network,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_shapes=({0: torch.export.Dim("B")},),
            verbose=False,
        )
    model = program.model_proto
    strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return _compare(network, example, names, path)


def _compare(network: torch.nn.Module, example: torch.Tensor, names: tuple[str, str], path: Path) -> int:
    with torch.inference_mode():
        expected = network(example).numpy()
    found = OnnxRuntimeGraph(path).run({names[0]: example.numpy()})[names[1]]
    error = float(np.abs(found - expected).max() / max(1.0, np.abs(expected).max()))
    if not error <= TOLERANCE:  # a NaN is an error too
        raise JsfError(f"{path.name} differs from PyTorch by {error:.1e}, more than {TOLERANCE:.0e}.")
    return int(found.shape[1])
