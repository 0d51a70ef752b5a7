"""Extractor folders: a visual graph, a sound, and `extractor.json`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.files import cache_folder, replacing, sha256
from jsf.extraction.spec import GRAPH, LOG_MEL, SOUND_GRAPH, SPEC, VGGISH, ExtractorSpec

LITE0 = "efficientnet-lite0"
RESNETS = ("resnet-50", "resnet-101", "resnet-152")
BACKBONES = (LITE0, *RESNETS)
"""The CNNs that jsf writes by name."""

DEFAULT = "efficientnet-lite0+logmel"
"""The name of the extractor that comes with jsf."""

WriteVisual = Callable[[Path], ExtractorSpec]
"""Writes the visual graph to a path and returns its spec."""

_SUFFIXES = {LOG_MEL: "+logmel", VGGISH: "+vggish"}


def make_extractor(
    folder: Path, visual: WriteVisual, sound: str = LOG_MEL, sound_weights: Path | None = None
) -> ExtractorSpec:
    """Writes an extractor folder, whole or not at all.

    Args:
        folder: an extractor that is there is replaced.
        visual: `backbone(...)`, or a call of `write_user_graph`.
        sound: one of `SOUNDS`.
        sound_weights: folder with the files of VGGish; without, they are downloaded.

    Raises:
        JsfError: `folder` holds something else, a package or the weights are missing, or a graph differs from PyTorch
            by more than 1e-4.
    """
    if folder.exists() and not (folder / SPEC).is_file() and (folder.is_file() or any(folder.iterdir())):
        raise JsfError(f"{folder} exists and is not an extractor.", "Name another folder with -o.")
    with replacing(folder) as temporary:
        temporary.mkdir()
        spec = visual(temporary / GRAPH)
        spec = replace(spec, name=spec.name + _SUFFIXES.get(sound, ""), sound=sound)
        if sound == VGGISH:
            require("torch", "export")
            from jsf.extraction.vggish_network import write_vggish

            write_vggish(temporary / SOUND_GRAPH, sound_weights)
            spec = replace(spec, sound_sha256=sha256(temporary / SOUND_GRAPH))
        spec.save(temporary)
    return spec


def backbone(name: str, weights: Path | None = None) -> WriteVisual:
    """Writes one of `BACKBONES`; `weights` are a ResNet's, which the hub gives without."""
    require("torch", "export")
    if name == LITE0:
        from jsf.extraction.backbone import write_lite0

        return write_lite0
    from jsf.extraction.resnet import write_resnet

    return lambda path: write_resnet(path, name, weights)


def extractors_folder() -> Path:
    """Where extractors are kept, by name: each user's cache."""
    return cache_folder() / "extractors"


def default_extractor() -> Path:
    """The folder of EfficientNet-Lite0 and log-mel statistics, in the user's cache; written on first use.

    Raises:
        JsfError: it is not there yet, and PyTorch or the weights' package is not installed.
    """
    folder = extractors_folder() / DEFAULT
    if not (folder / SPEC).is_file():
        require("torch", "export")
        from rich.console import Console

        with Console(stderr=True).status("Writing the CNN as an ONNX graph, once"):
            make_extractor(folder, backbone(LITE0))
    return folder
