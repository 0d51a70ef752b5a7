"""What a training run refuses, before it begins."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.identity import full_precision
from jsf.data.lengths import MIN_STEPS
from jsf.data.sequence import MAX_STEPS
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint, Model
from jsf.training.recipe import CommonRecipe, Recipe

BEST, LAST, LOG = "best.pt", "last.ckpt", "metrics.jsonl"
"""What a run's folder holds."""

RESERVED = {
    "callbacks",
    "check_val_every_n_epoch",
    "enable_checkpointing",
    "fast_dev_run",
    "limit_val_batches",
    "max_epochs",
    "max_steps",
    "max_time",
    "num_sanity_val_steps",
    "plugins",
    "use_distributed_sampler",
    "val_check_interval",
}
"""Options of Lightning's Trainer that a run relies on: every epoch is validated, logged and kept."""


def resume_from(out: Path, resume: bool) -> Path | None:
    """The checkpoint that a run continues from, or None where it starts; raises JsfError where that cannot be."""
    begun = any((out / name).exists() for name in (LOG, BEST, LAST))
    if resume and not begun:
        raise JsfError(f"{out} holds no run to resume.", "Start it without --resume.")
    if not resume and begun:
        raise JsfError(f"{out} already holds a run.", "Continue it with --resume, or name another folder with -o.")
    return out / LAST if (out / LAST).exists() else None  # a run killed in its first epoch starts again


def check_same_run(out: Path, model: Model, vocabulary: Vocabulary, recipe: dict[str, Any]) -> None:
    """Raises JsfError unless the run in `out` is of this model, vocabulary, recipe and seed."""
    if not (out / BEST).is_file():
        raise JsfError(f"{out} lacks {BEST}, so its run cannot be continued.", f"Remove {out}, and train again.")
    before = Checkpoint.load(out / BEST)
    if (before.model.config, before.vocabulary) != (model.config, vocabulary):
        raise JsfError(
            f"{out} holds a run of other data or another preset: {before.model.config}; now {model.config}.",
            "Resume with the features, captions and preset that it began with.",
        )
    changed = [
        f"{name} {before.recipe.get(name)}, now {value}"
        for name, value in recipe.items()
        if before.recipe.get(name) != value
    ]
    if changed:
        raise JsfError(f"{out} holds a run with {'; '.join(changed)}.", "Resume with the options that it began with.")


def make_folder(out: Path) -> None:
    """Makes the run's folder; raises JsfError where it cannot be made."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JsfError(f"cannot make the folder {out}: {error.strerror}.", "Name another with -o.") from error


def check_options(options: dict[str, Any]) -> None:
    """Raises JsfError for options of Lightning's Trainer that a run relies on, or that do not train."""
    if taken := sorted(RESERVED & set(options)):
        raise JsfError(f"jsf sets Lightning's {', '.join(taken)} itself.", "Leave it out; --epochs sets the epochs.")
    if str(options.get("precision", "")).endswith(("16-true", "64-true")):
        raise JsfError(f"precision {options['precision']} is not trained.", "Use --trainer precision=bf16-mixed.")


def check_numbers(recipe: CommonRecipe) -> None:
    """Raises JsfError for a number of a recipe that cannot be."""
    least = {"epochs": 1, "validate_every": 1, "patience": 1, "batch": 2, "candidates": 2}
    for name, number in asdict(recipe).items():
        if not isinstance(number, str) and not least.get(name, 0) <= number < math.inf:
            raise JsfError(f"{name} is {number}, expected {least.get(name, 0)} or more.")


def check_recipe(recipe: Recipe) -> None:
    """Raises JsfError for a recipe of JSFusion that cannot be followed."""
    check_numbers(recipe)
    aided = [name for name in ("mined", "alone", "distill") if getattr(recipe, name)]
    if aided and not recipe.alignment:
        raise JsfError(
            f"{', '.join(aided)} rests on the alignment of the encodings, whose weight is 0.", "Set alignment."
        )
    if (frames := recipe.matched_frames) not in (0, *range(MIN_STEPS + 1, MAX_STEPS + 1, 2)):
        raise JsfError(
            f"matched_frames is {frames}, expected 0, or an even number from {MIN_STEPS + 1} to {MAX_STEPS}."
        )
    if recipe.alone >= recipe.epochs:
        raise JsfError(f"all {recipe.epochs} epochs are alone: no pair would be matched.", "Set fewer, or more epochs.")


def check_same_features(split: Split, val: Split) -> int:
    """The width of both splits' features; raises JsfError unless it and the extractor are the same."""
    ours, theirs = ((part.store.width(part.video_ids), part.store.extractor) for part in (split, val))
    if ours[0] != theirs[0] or full_precision(ours[1]) != full_precision(theirs[1]):
        raise JsfError(
            f"training features are {ours[0]} wide by '{ours[1]}', validation features {theirs[0]} by '{theirs[1]}'.",
            "Extract both with one extractor.",
        )
    return ours[0]
