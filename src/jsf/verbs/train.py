"""`jsf train`: a split to `best.pt`."""

import json as json_module
import os
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.split import Split
from jsf.verbs.output import note, print_json


def show_training(split: Split, val: Split, out: Path, options: dict[str, Any], json: bool) -> None:
    """Trains, and prints the best epoch's validation metrics.

    Raises:
        JsfError: bad input, or PyTorch or Lightning is not installed.
    """
    for package in ("torch", "lightning"):
        require(package, "train")
    from jsf.training.train import train

    checkpoint = train(split, val, out, **options)
    if os.environ.get("LOCAL_RANK", "0") != "0":  # of several processes, one speaks
        return
    best = {name: value for name, value in checkpoint.metrics.items() if name not in ("epoch", "loss", "score")}
    if json:
        print_json({"checkpoint": str(out / "best.pt"), "metrics": checkpoint.metrics})
        return
    note(f"best epoch {checkpoint.metrics['epoch']:.0f}: " + ", ".join(f"{k} {v:.1f}" for k, v in best.items()))
    print(out / "best.pt")


def key_value(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a key and a value, which is JSON where it can be read as that, else text.

    Raises:
        JsfError: there is no "=".
    """
    key, found, value = text.partition("=")
    if not found:
        raise JsfError(f"{text!r} has no '=', expected KEY=VALUE, such as precision=bf16-mixed.")
    try:
        return key, json_module.loads(value)
    except ValueError:
        return key, value
