"""`jsf train`: a split to `best.pt`."""

import json as json_module
import math
import os
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.extras import require
from jsf.data.split import Split
from jsf.data.task_names import CAPTIONING, EMBEDDING, EMBEDDINGS
from jsf.verbs.output import note, print_json


def show_training(split: Split, val: Split, out: Path, options: dict[str, Any], json: bool) -> None:
    """Trains, and prints the best epoch's validation metrics.

    Raises:
        JsfError: bad input, or PyTorch or Lightning is not installed.
    """
    for package in ("torch", "lightning"):
        require(package, "train")
    if options["unseen"]:
        note(f"the last {options['unseen']} numbers of each frame are left out, as its sound: see --audio-width")
    checkpoint = _train(split, val, out, options)
    if os.environ.get("LOCAL_RANK", "0") != "0":  # of several processes, one speaks
        return
    best = {name: value for name, value in checkpoint.metrics.items() if name not in ("epoch", "loss", "score")}
    if json:
        print_json({"checkpoint": str(out / "best.pt"), "metrics": checkpoint.metrics})
        return
    note(f"best epoch {checkpoint.metrics['epoch']:.0f}: " + ", ".join(f"{k} {v:.1f}" for k, v in best.items()))
    print(out / "best.pt")


def _train(split: Split, val: Split, out: Path, options: dict[str, Any]) -> Any:
    """The checkpoint of a JSFusion, of an embedding, or of a captioner over one."""

    def without(*names: str) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name not in names}

    if options["task"] == CAPTIONING:
        from jsf.training.hse.train_captioner import train_captioner

        return train_captioner(split, val, out, **without("task", "model", "unseen"))
    if options["model"] in EMBEDDINGS:
        from jsf.training.hse.train import train_embedding

        return train_embedding(split, val, out, **without("task", "unseen", "start"))
    from jsf.training.train import train

    return train(split, val, out, **without("start"))


def rows_for(task: str, model: str, start: Path | None) -> str:
    """The task whose rows a model is trained on.

    Raises:
        JsfError: the task, the model and the checkpoint to start from do not go together.
    """
    if (task == CAPTIONING) != (start is not None):
        raise JsfError(
            "--task captioning and --start go together: a captioner tells of what a trained embedding sees.",
            "For example: jsf train --task captioning --start hse/best.pt --features F --captions C -o RUN",
        )
    if task == CAPTIONING and model != "jsfusion":
        raise JsfError("--model has no part in captioning: --start names the embedding.", "Leave it out.")
    if model in EMBEDDINGS and task not in ("retrieval", CAPTIONING):
        raise JsfError(f"{model} embeds videos and texts; it is not trained for {task}.", "Leave out --task.")
    return EMBEDDING if model in EMBEDDINGS or task == CAPTIONING else task


def unseen_width(model: str, audio_width: int | None) -> int:
    """How many of a frame's last numbers a model does not look at: its sound, for the ablations without.

    Raises:
        JsfError: the model and the width do not go together.
    """
    if ("no-audio" in model) != (audio_width is not None):
        raise JsfError(
            "--model no-audio, --model vgg-no-audio and --audio-width go together.",
            "Say how many of a frame's last numbers are sound: 128 of VGGish, 0 where there are none.",
        )
    return audio_width or 0


def key_value(text: str) -> tuple[str, Any]:
    """`KEY=VALUE` as a key and a value, which is JSON where it can be read as that and is finite, else text.

    Raises:
        JsfError: there is no "=".
    """
    key, found, value = text.partition("=")
    if not found:
        raise JsfError(
            f"{text!r} has no '=', expected KEY=VALUE.", "For example: --set batch=16 --trainer precision=bf16-mixed"
        )
    try:
        parsed = json_module.loads(value)
    except (ValueError, RecursionError):
        return key, value
    infinite = isinstance(parsed, float) and not math.isfinite(parsed)
    return key, value if infinite else parsed
