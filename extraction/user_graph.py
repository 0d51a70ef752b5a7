"""Any ONNX file that turns images into one vector each, as the visual half of an extractor. No PyTorch."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import sha256
from jsf.extraction.preprocess import Square
from jsf.extraction.spec import ExtractorSpec
from jsf.runtime.backends.onnxruntime import OnnxRuntimeGraph

Channels = tuple[float, float, float]

TOLERANCE = 1e-4


def write_user_graph(
    path: Path, source: Path, square: Square, mean: Channels, std: Channels, output: str | None = None
) -> ExtractorSpec:
    """Copies an ONNX file as one of fixed image size and free batch size, and runs it.

    Args:
        path: the copy.
        source: one input, images [B, 3, size, size] f32; an output [B, W] f32.
        square: how a frame becomes an image.
        mean: per channel, of pixel values 0..1 (RGB).
        std: likewise.
        output: its name; may be left out where there is only one.

    Raises:
        JsfError: it is no such file, or one image's vector depends on the others of its batch.
    """
    onnx = require("onnx", "export")
    try:
        model = onnx.load(source)  # with the weights in files beside it
    except Exception as error:  # protobuf has exceptions of its own
        raise JsfError(f"{source} is not a readable ONNX file: {' '.join(str(error).split())[:200]}") from error
    images = _fix_input(model, source, square.size)
    _keep_output(model, source, output)
    # What happens before the graph is written into it: then its hash, which names the features, tells of it.
    settings = json.dumps({**asdict(square), "mean": mean, "std": std})
    onnx.helper.set_model_props(model, {"preprocessing": settings})
    _name_batch(onnx, model, 0)
    onnx.save(model, path)
    width = _try(path, source, square.size)
    _name_batch(onnx, model, width)
    onnx.save(model, path)
    scaled = [tuple(255.0 * number for number in numbers) for numbers in (mean, std)]
    return ExtractorSpec(
        name=source.stem,
        version=1,
        input=images,
        output=model.graph.output[0].name,
        size=square.size,
        width=width,
        mean=scaled[0],  # type: ignore[arg-type]
        std=scaled[1],  # type: ignore[arg-type]
        sha256=sha256(path),
        short_side=square.short_side,
        interpolation=square.interpolation,
    )


def _fix_input(model: Any, source: Path, size: int) -> str:
    """Checks that the only input takes images of this size; returns its name."""
    weights = {weight.name for weight in model.graph.initializer}  # old files list them as inputs too
    inputs = [value for value in model.graph.input if value.name not in weights]
    shapes = [[dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in inputs]
    wanted = [0, 3, size, size]  # dim_value is 0 where a dimension is free
    fits = len(shapes) == 1 and len(shapes[0]) == 4
    if not fits or any(found not in (0, size) for found, size in zip(shapes[0][1:], wanted[1:], strict=True)):
        named = ", ".join(f"{value.name} {shape}" for value, shape in zip(inputs, shapes, strict=True))
        raise JsfError(
            f"{source} takes {named or 'nothing'}; expected one input [B, 3, {size}, {size}].", "See --size."
        )
    dims = inputs[0].type.tensor_type.shape.dim
    for dim, length in zip(dims[1:], wanted[1:], strict=True):
        dim.dim_value = length
    dims[0].dim_param = "B"
    del model.graph.input[:]
    model.graph.input.append(inputs[0])
    return str(inputs[0].name)


def _keep_output(model: Any, source: Path, name: str | None) -> None:
    """Leaves the named output alone, or the only one."""
    names = [value.name for value in model.graph.output]
    if (name is None and len(names) != 1) or (name is not None and name not in names):
        raise JsfError(f"{source} has the outputs {', '.join(names)}.", f"Name one: --output {names[0]}")
    kept = model.graph.output[names.index(name or names[0])]
    del model.graph.output[:]
    model.graph.output.append(kept)


def _name_batch(onnx: Any, model: Any, width: int) -> None:
    """Declares the output as [B, width]; a width of 0 is free."""
    kept = model.graph.output[0]
    kept.CopyFrom(onnx.helper.make_tensor_value_info(kept.name, onnx.TensorProto.FLOAT, ["B", width or "W"]))


def _try(path: Path, source: Path, size: int) -> int:
    """Runs three images as one batch and one by one; returns the vectors' width."""
    graph = OnnxRuntimeGraph(path)
    images = np.random.default_rng(0).standard_normal((3, 3, size, size), np.float32)
    fix = "Export it with a free batch size and an output [B, W]: pooled features, not a map."
    try:
        outputs = [graph.run({graph.inputs[0].name: batch})[graph.outputs[0].name] for batch in (images, images[:1])]
    except JsfError as error:
        raise JsfError(f"{source} does not run: {error.message}", fix) from error
    together, alone = outputs
    if together.ndim != 2 or len(together) != 3 or len(alone) != 1:
        raise JsfError(f"{source} gives {list(together.shape)} for 3 images, expected [3, W].", fix)
    if not np.allclose(together[:1], alone, atol=TOLERANCE, rtol=TOLERANCE):  # a NaN fails too
        raise JsfError(f"{source}: what it gives for an image depends on the other images of its batch.", fix)
    return int(together.shape[1])
