"""Runs a training loop, from its start or from where it stopped, and leaves `best.pt`."""

import logging
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from torch.utils.data import DataLoader, TensorDataset

from jsf.data.errors import JsfError
from jsf.models.checkpoint import Checkpoint
from jsf.training.batches import BatchSource, ShuffledBatches
from jsf.training.checks import BEST, LAST, LOG, check_same_run, make_folder
from jsf.training.loop import TrainingLoop
from jsf.training.recipe import CommonRecipe
from jsf.training.run import BestCheckpoint, WholeFiles, stopped_early


def fit(
    out: Path,
    loop: TrainingLoop,
    examples: BatchSource[Any],
    extractor: str,
    last: Path | None,
    options: dict[str, Any],
) -> Checkpoint:
    """Trains, and returns the best checkpoint.

    Args:
        out: the run's folder.
        loop: the model with its recipe.
        examples: what it trains on.
        extractor: what made the training features.
        last: the checkpoint to continue from.
        options: passed to Lightning's Trainer.

    Raises:
        JsfError: the run in `out` is another one, the examples are too few, or Lightning refuses the options.
    """
    recipe = loop.recipe
    if last:
        check_same_run(out, loop.model, loop.vocabulary, {**asdict(recipe), "seed": loop.seed})
        if stopped_early(out / LOG, recipe.patience):
            return Checkpoint.load(out / BEST)
    trainer = _trainer(out, recipe, BestCheckpoint(out, extractor), options)
    batches = ShuffledBatches(examples, recipe.batch, loop.seed, trainer.world_size)
    make_folder(out)
    trainer.fit(
        loop,
        DataLoader(batches, batch_size=None),
        DataLoader(TensorDataset(torch.zeros(1)), batch_size=None),  # one validation step ranks the whole split
        ckpt_path=last,
        weights_only=True,
    )
    return Checkpoint.load(out / BEST)


def _trainer(out: Path, recipe: CommonRecipe, best: BestCheckpoint, options: dict[str, Any]) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    callbacks = [
        best,
        ModelCheckpoint(out, filename=Path(LAST).stem, enable_version_counter=False, save_on_train_epoch_end=True),
        RichProgressBar(console_kwargs={"stderr": True}),
    ]
    settings: dict[str, Any] = {
        "max_epochs": recipe.epochs,
        "devices": 1,  # more are for the user to ask for: they multiply the batch
        "gradient_clip_val": recipe.clip,
        "deterministic": True,
        "logger": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        "enable_model_summary": False,
        "callbacks": callbacks,
        "plugins": [WholeFiles()],
    }
    try:
        return Trainer(**{**settings, **options})
    except (TypeError, ValueError, RuntimeError, MisconfigurationException) as error:
        raise JsfError(f"Lightning refuses these trainer options {options}: {error}") from error
