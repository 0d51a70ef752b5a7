"""What a training run refuses, before it begins."""

from pathlib import Path
from typing import Any

from jsf.data.errors import JsfError
from jsf.data.vocabulary import Vocabulary
from jsf.models.checkpoint import Checkpoint
from jsf.models.jsfusion import JSFusion
from jsf.training.batches import Captions
from jsf.training.run import BEST, LAST, LOG

RESERVED = {
    "callbacks",
    "check_val_every_n_epoch",
    "enable_checkpointing",
    "fast_dev_run",
    "limit_val_batches",
    "max_epochs",
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


def check_same_run(out: Path, model: JSFusion, vocabulary: Vocabulary, recipe: dict[str, Any]) -> None:
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


def check_same_features(split: Captions, val: Captions) -> None:
    """Raises JsfError unless both splits have features of one width and one extractor."""
    ours, theirs = (split.width, split.store.extractor), (val.width, val.store.extractor)
    if ours != theirs:
        raise JsfError(
            f"training features are {ours[0]} wide by '{ours[1]}', validation features {theirs[0]} by '{theirs[1]}'.",
            "Extract both with one extractor.",
        )
