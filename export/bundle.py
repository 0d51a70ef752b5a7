"""`jsf export`: a checkpoint becomes a bundle that scores without PyTorch."""

import shutil
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.files import replacing, sha256
from jsf.data.progress import track
from jsf.export.graphs import OPSET, draw_samples, write_frame_encoder, write_matcher, write_word_encoder
from jsf.export.parity import measure_parity
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import folded
from jsf.runtime.bundle import GRAPHS, Bundle, Manifest, graph_path, write_manifest

TOOLS = ("torch", "onnx", "onnxscript", "onnxruntime")


def export_bundle(checkpoint: Checkpoint, out: Path, extractor: Path | None = None) -> Bundle:
    """Writes the four graphs of a checkpoint, compares each with PyTorch, and writes the bundle, whole or not at all.

    Args:
        checkpoint: the trained model.
        out: the bundle's folder; a bundle that is there is replaced, anything else is refused.
        extractor: a folder with the graph that made the features, copied into the bundle.

    Raises:
        JsfError: `out` is something else, a graph is not valid, or parity is worse than 1e-4 of the output's range.
    """
    if out.exists() and not (out / "manifest.json").is_file() and (out.is_file() or any(out.iterdir())):
        raise JsfError(f"{out} exists and is not a bundle.", "Name another folder with -o.")
    model = folded(checkpoint.model)
    samples = draw_samples(model)
    writers = {
        "frame_encoder": lambda path: write_frame_encoder(model, samples, path),
        "word_encoder": lambda path: write_word_encoder(model, samples, path),
        "matcher": lambda path: write_matcher(model, samples, path, symbolic=False),
        "matcher.buckets": lambda path: write_matcher(model, samples, path, symbolic=True),
    }
    with replacing(out) as root:
        for name in track(GRAPHS, "exporting", len(GRAPHS)):
            writers[name](graph_path(root, "fp32", name))
        # The folded model is what was traced; the comparison is with the model as trained.
        parity = measure_parity(checkpoint.model.eval(), samples, lambda name: graph_path(root, "fp32", name))
        checkpoint.vocabulary.save(root / "vocabulary.json")
        if extractor:
            shutil.copytree(extractor, root / "extractor")
        write_manifest(root, _manifest(checkpoint, root, parity))
    return Bundle.open(out)


def _manifest(checkpoint: Checkpoint, root: Path, parity: dict[str, float]) -> Manifest:
    config = checkpoint.model.config
    return Manifest(
        model="jsfusion",
        task=config.task,
        preset=config.preset,
        feature_width=config.feature_width,
        extractor=checkpoint.extractor,
        left_padded=config.left_padded,
        joint_width=config.joint,
        opset=OPSET,
        vocabulary=sha256(root / "vocabulary.json"),
        hashes={"fp32": {name: sha256(graph_path(root, "fp32", name)) for name in GRAPHS}},
        parity=parity,
        tools={"jsf": version("jsf"), **{tool: import_module(tool).__version__ for tool in TOOLS}},
    )
