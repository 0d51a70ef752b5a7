"""`jsf export`: a checkpoint becomes a bundle that scores without PyTorch."""

import shutil
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jsf.calibration.samples import save_samples
from jsf.data.errors import JsfError
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.export import graphs, hse_graphs, parity
from jsf.export.fused import fused
from jsf.export.hse_graphs import Samples
from jsf.export.tracing import OPSET
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.hse import HSE
from jsf.models.jsfusion import JSFusion
from jsf.runtime.bundle import SAMPLES, Bundle, Manifest, graph_path, write_manifest

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")


def export_bundle(checkpoint: Checkpoint, out: Path, extractor: Path | None = None) -> Bundle:
    """Writes the graphs of a checkpoint, compares each with PyTorch, and writes the bundle, whole or not at all.

    Args:
        checkpoint: the trained model, JSFusion or an embedding.
        out: the bundle's folder; a bundle that is there is replaced, anything else is refused.
        extractor: a folder with the graph that made the features, copied into the bundle.

    Raises:
        JsfError: `out` is something else, a graph is not valid, or parity is worse than 1e-4 of the output's range.
    """
    if out.exists() and not (out / "manifest.json").is_file() and (out.is_file() or any(out.iterdir())):
        raise JsfError(f"{out} exists and is not a bundle.", "Name another folder with -o.")
    model = checkpoint.hse if isinstance(checkpoint.model, HSE) else checkpoint.jsfusion
    model.eval()
    with replacing(out) as root:
        checkpoint.vocabulary.save(root / "vocabulary.json")
        path = partial(graph_path, root, "fp32")
        errors, samples = _write_hse(model, path) if isinstance(model, HSE) else _write_jsfusion(model, path)
        arrays = {graph: {name: t.numpy() for name, t in inputs.items()} for graph, inputs in samples.items()}
        save_samples(root / SAMPLES, arrays)
        manifest = Manifest(
            preset=model.config.preset,
            task=model.config.task,
            feature_width=model.config.feature_width,
            extractor=checkpoint.extractor,
            opset=OPSET,
            vocabulary=sha256(root / "vocabulary.json"),
            samples=sha256(root / SAMPLES),
            parity=errors,
            tools={"jsf": version("jsf"), **{tool: import_module(tool).__version__ for tool in TOOLS}},
            hashes={"fp32": {name: sha256(path(name)) for name in errors}},
            **_described(model),
        )
        if extractor:
            shutil.copytree(extractor, root / "extractor")
        write_manifest(root, manifest)
    return Bundle.open(out)


def _write_jsfusion(model: JSFusion, path: Callable[[str], Path]) -> tuple[dict[str, float], Samples]:
    """Writes the graphs; returns the parity of each, and on which inputs it was measured."""
    traced, samples = fused(model), graphs.draw_samples(model)
    writers: dict[str, Callable[[Path], None]] = {
        "frame_encoder": partial(graphs.write_frame_encoder, traced, samples),
        "word_encoder": partial(graphs.write_word_encoder, traced, samples),
        "matcher": partial(graphs.write_matcher, traced, samples, symbolic=False),
        "matcher.buckets": partial(graphs.write_matcher, traced, samples, symbolic=graphs.crops(traced)),
    }
    for name, write in track(writers.items(), "exporting", len(writers)):
        write(path(name))
    # The fused model is what was traced; the comparison is with the model as trained.
    return parity.measure_parity(model, samples, path), samples.inputs


def _write_hse(model: HSE, path: Callable[[str], Path]) -> tuple[dict[str, float], Samples]:
    """As `_write_jsfusion`."""
    samples = hse_graphs.draw_samples(model)
    for name in track(samples, "exporting", len(samples)):
        hse_graphs.write_encoder(model, samples, name, path(name))
    return hse_graphs.measure_parity(model, samples, path), samples


def _described(model: JSFusion | HSE) -> dict[str, Any]:
    """What the manifest says of one model and not of the other."""
    if isinstance(model, JSFusion):
        return {"model": "jsfusion", "left_padded": model.config.left_padded, "joint_width": model.config.joint}
    limits = asdict(model.config.limits)
    del limits["hierarchical"]  # which the name of the model says
    return {"model": model.config.model, "left_padded": False, "joint_width": model.config.hidden, "limits": limits}
