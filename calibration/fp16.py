"""FP16 graphs from FP32 ones. Precision is a property of the graph, so every backend runs the same one."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jsf.calibration.cosine_error import cosine_error, generated_levels
from jsf.calibration.error import generated_samples, score_error
from jsf.calibration.simulate import simulate_fp16
from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.data.task_names import EMBEDDINGS
from jsf.runtime.bundle import Bundle

FLOAT32_ENDS = ["features", "clips", "scores"]
"""What stays FP32 at the graphs' ends. What becomes of videos and sentences is FP16: no cast runs over a gallery."""


def to_fp16(source: Path, target: Path) -> None:
    """Writes the FP16 version of one exported graph.

    Weights and activations become FP16; `features`, `clips` and `scores` stay FP32; word ids, lengths and indices stay
    integers.
    A count of cells is exact: it is at most 17 * 17, and FP16 holds every integer up to 2048.

    Args:
        source: an FP32 .onnx file with its weights inside.
        target: the .onnx file to write, whole or not at all.

    Raises:
        JsfError: onnx or onnxruntime is missing, or the file is not a graph that can be converted.
    """
    onnx = require("onnx", "quantize")
    converter = require("onnxruntime.transformers.float16", "quantize")
    ordering = require("onnxruntime.transformers.onnx_model", "quantize")
    try:
        model = converter.convert_float_to_float16(onnx.load(source), keep_io_types=FLOAT32_ENDS)
        ordering.OnnxModel(model).topological_sort()  # the converter appends its casts at the end
        onnx.checker.check_model(model, full_check=True)
    except Exception as error:  # onnx, protobuf and the converter raise classes without a common base
        raise JsfError(
            f"{source} cannot be converted to FP16: {error}", "Export it again: jsf export --ckpt best.pt"
        ) from error
    with replacing(target) as temporary:
        onnx.save(model, temporary)


def add_fp16(bundle: Bundle) -> dict[str, Any]:
    """Adds the FP16 graphs to a bundle, with their hashes and their measured score error in its manifest.

    Returns:
        `manifest.losses["fp16"]`: the score error against FP32 on generated inputs, and "accuracy": "not measured".

    Raises:
        JsfError: a graph cannot be converted, or FP16 scores are not finite; the bundle is then as it was.
    """
    sources = {name: bundle.graph("fp32", name) for name in bundle.manifest.graphs}
    with replacing(bundle.root / "fp16") as folder:
        targets = {name: folder / source.name for name, source in sources.items()}
        for name, source in track(sources.items(), "converting to FP16", len(sources)):
            to_fp16(source, targets[name])
        loss = _measure(sources, targets, bundle)
        hashes = {name: sha256(target) for name, target in targets.items()}
    bundle.manifest.hashes["fp16"] = hashes
    bundle.manifest.losses["fp16"] = {**loss, "samples": "generated", "accuracy": "not measured"}
    bundle.save_manifest()
    return bundle.manifest.losses["fp16"]


def _measure(sources: dict[str, Path], targets: dict[str, Path], bundle: Bundle) -> dict[str, float]:
    with TemporaryDirectory() as folder:
        simulated = {name: Path(folder) / f"{name}.onnx" for name in bundle.manifest.static_graphs}
        for name, path in simulated.items():
            simulate_fp16(targets[name], path)
        if bundle.manifest.model in EMBEDDINGS:
            return cosine_error(sources, simulated, generated_levels(bundle.manifest, len(bundle.vocabulary)))
        return score_error(sources, simulated, generated_samples(bundle.manifest, len(bundle.vocabulary)))
