"""`jsf extractor`: what turns frames and sound into features, as a folder."""

import math
from pathlib import Path

from rich.console import Console

from jsf.data.errors import JsfError
from jsf.extraction import Extractor
from jsf.extraction.make import BACKBONES, RESNETS, WriteVisual, backbone, extractors_folder, make_extractor
from jsf.extraction.preprocess import INTERPOLATIONS, Square
from jsf.extraction.spec import SOUNDS, VGGISH
from jsf.extraction.user_graph import Channels, write_user_graph
from jsf.verbs.output import note


def show_extractor(
    name: str | None,
    onnx: Path | None,
    out: Path | None,
    sound: str,
    weights: Path | None,
    sound_weights: Path | None,
    size: int | None,
    resize: int | None,
    interpolation: str | None,
    mean: str | None,
    std: str | None,
    output: str | None,
) -> None:
    """Writes an extractor folder, opens it, and prints its path.

    Raises:
        JsfError: bad input, a package or the weights are missing, or a graph differs from PyTorch.
    """
    if (name is None) == (onnx is None):
        raise JsfError(f"name one CNN: {', '.join(BACKBONES)}; or one ONNX file: --onnx FILE.")
    _check_choice("sound", sound, SOUNDS)
    if weights and name not in RESNETS:
        raise JsfError(f"--weights are for {', '.join(RESNETS)}.")
    if sound_weights and sound != VGGISH:
        raise JsfError("--sound-weights are for --sound vggish.")
    if onnx:
        channels = _channels("mean", mean or "0.485,0.456,0.406"), _channels("std", std or "0.229,0.224,0.225")
        visual = _of_file(onnx, size or 224, resize, interpolation or "bicubic", *channels, output)
    else:
        if any(given is not None for given in (size, resize, interpolation, mean, std, output)):
            raise JsfError(f"the pictures of {name} are what its publisher says: --size and the like are for --onnx.")
        _check_choice("CNN", str(name), BACKBONES)
        visual = backbone(str(name), weights)
    folder = out or extractors_folder() / "-".join([name or (onnx or Path()).stem, sound])
    with Console(stderr=True).status("Writing the extractor's graphs"):
        make_extractor(folder, visual, sound, sound_weights)
    extractor = Extractor.open(folder)
    sizes = f"{extractor.spec.width} numbers of the image and {extractor.sound.width} of the sound a frame"
    note(f"{extractor.identity}: {sizes}")
    print(folder)


def _of_file(
    onnx: Path, size: int, resize: int | None, interpolation: str, mean: Channels, std: Channels, output: str | None
) -> WriteVisual:
    _check_choice("interpolation", interpolation, INTERPOLATIONS)
    if min(std) <= 0.0:
        raise JsfError(f"--std holds {min(std):g}, expected numbers above 0.")
    if resize is not None and resize < size:
        raise JsfError(f"--resize {resize} is less than --size {size}: nothing that large can be cut out.")
    square = Square(size, resize or size, interpolation)
    return lambda path: write_user_graph(path, onnx, square, mean, std, output)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise JsfError(f"{what} '{value}' is not known, expected one of: {', '.join(choices)}.")


def _channels(name: str, text: str) -> Channels:
    try:
        red, green, blue = (float(part) for part in text.split(","))
        if not all(map(math.isfinite, (red, green, blue))):
            raise ValueError(f"{text} is not finite")
    except ValueError as error:
        raise JsfError(f"--{name} is '{text}', expected three numbers: --{name} 0.485,0.456,0.406") from error
    return red, green, blue
