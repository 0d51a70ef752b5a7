"""`jsf export`: a checkpoint to a bundle."""

from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import read_json
from jsf.data.identity import full_precision
from jsf.data.task_names import CAPTIONING
from jsf.extraction import DEFAULT, default_extractor
from jsf.extraction.make import extractors_folder
from jsf.extraction.spec import SPEC, ExtractorSpec
from jsf.runtime.bundle import default_bundle, graph_path
from jsf.verbs.output import note, print_json, print_table


def show_export(ckpt: Path, out: Path | None, extractor: Path | None, json: bool) -> None:
    """Exports, and prints each graph's size and its difference from PyTorch.

    Raises:
        JsfError: bad input, or a graph differs from PyTorch.
    """
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        require(package, "export")
    from jsf.export.bundle import export_bundle
    from jsf.models.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(ckpt)
    if checkpoint.model.config.task == CAPTIONING:
        raise JsfError(
            "a captioner is not exported: it runs with PyTorch.", "Run it: jsf caption VIDEO --ckpt " + str(ckpt)
        )
    bundle = export_bundle(checkpoint, out or default_bundle(), find_extractor(checkpoint.extractor, extractor))
    sizes = {name: graph_path(bundle.root, "fp32", name).stat().st_size for name in bundle.manifest.parity}
    if json:
        print_json({"bundle": str(bundle.root), "parity": bundle.manifest.parity, "bytes": sizes})
        return
    rows = [(name, f"{sizes[name] / 1e6:.1f}", f"{error:.1e}") for name, error in bundle.manifest.parity.items()]
    print_table(f"{bundle.root}/fp32", ("graph", "MB", "difference from PyTorch"), rows)


def find_extractor(identity: str, folder: Path | None = None) -> Path | None:
    """The folder of the extractor that a model's features came from, where this machine has it.

    A model of other features gets none, and a note that its bundle scores feature files only.

    Args:
        identity: what the features name as their extractor, in whatever precision.
        folder: where it is; without, it is looked for in the user's cache.

    Raises:
        JsfError: `folder` is another extractor.
    """
    if folder:
        if (found := ExtractorSpec.load(folder).identity) != full_precision(identity):
            raise JsfError(f"{folder} is '{found}'; the model was trained on features of '{identity}'.")
        return folder
    try:
        if identity.startswith(f"{DEFAULT} "):
            default_extractor()  # written where it is not there yet
        for file in sorted(extractors_folder().glob(f"*/{SPEC}")):
            if identity.startswith(f"{read_json(file).get('name')} ") and ExtractorSpec.load(
                file.parent
            ).identity == full_precision(identity):
                return file.parent
    except JsfError as error:
        note(str(error))
    note(f"the bundle scores feature files only: its features are of '{identity or 'an unknown extractor'}'")
    return None
