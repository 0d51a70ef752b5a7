"""`jsf train`: features and captions in, `best.pt` out."""

import logging
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, RichProgressBar
from torch.utils.data import DataLoader, TensorDataset

from jsf.data.captions import read_captions
from jsf.data.errors import JsfError
from jsf.data.progress import track
from jsf.data.store import open_features
from jsf.data.vocabulary import Vocabulary
from jsf.data.word_vectors import read_word_vectors
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import preset as model_preset
from jsf.models.jsfusion import JSFusion
from jsf.training.batches import Captions, ShuffledBatches
from jsf.training.module import RetrievalModule
from jsf.training.recipe import Recipe
from jsf.training.recipe import recipe as preset_recipe
from jsf.training.run import BEST, LAST, LOG, BestCheckpoint, WholeFiles, stopped_early

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

FLOOR = 0.1
"""Least standard deviation that a dimension is divided by, relative to the median of all that vary."""


def train(
    features: Path,
    captions: Path,
    val_features: Path,
    val_captions: Path,
    out: Path,
    preset: str = "paper",
    word_vectors: Path | None = None,
    epochs: int | None = None,
    seed: int = 0,
    resume: bool = False,
    trainer_options: dict[str, Any] | None = None,
) -> Checkpoint:
    """Trains a retrieval model and returns its best checkpoint, which lies in `out/best.pt`.

    Args:
        features: feature store of the training split.
        captions: its captions table.
        val_features: feature store of the split that chooses the epoch.
        val_captions: its captions table.
        out: the run's folder: best.pt, last.ckpt, metrics.jsonl.
        preset: "paper" or "small".
        word_vectors: in GloVe's text format; random where absent.
        epochs: at most; the recipe's where absent.
        seed: of weights, batches and dropout; a run on a CPU is reproducible from it.
        resume: continue the run in `out` after its last whole epoch.
        trainer_options: passed to Lightning's Trainer: precision, devices, strategy, accelerator, ...

    Raises:
        JsfError: the data, the preset or the options are wrong, or `out` holds a run and `resume` is not set.
    """
    last = _resume_from(out, resume)
    _check_options(trainer_options or {})
    recipe = preset_recipe(preset)
    recipe = replace(recipe, epochs=epochs) if epochs else recipe
    seed_everything(seed, verbose=False)
    table, store = read_captions(captions), open_features(features)
    vocabulary = Vocabulary.build((caption.sentence for caption in table), recipe.min_count)
    split = Captions(table, store, vocabulary)
    model = JSFusion(model_preset(preset, split.width, len(vocabulary)))
    if recipe.standardize:
        _standardize(model, split)
    if word_vectors:
        _set_word_vectors(model, *read_word_vectors(word_vectors, vocabulary, model.config.word_width))

    if last:
        _check_same_run(out, model, vocabulary, {**asdict(recipe), "seed": seed})
        if stopped_early(out / LOG, recipe.patience):
            return Checkpoint.load(out / BEST)
    val = Captions(read_captions(val_captions), open_features(val_features), vocabulary)
    _check_same_features(split, val)
    trainer = _trainer(out, recipe, BestCheckpoint(out, store.extractor), trainer_options or {})
    batches = ShuffledBatches(split, recipe.batch, recipe.neighbours, seed, trainer.world_size)
    _make_folder(out)
    trainer.fit(
        RetrievalModule(model, recipe, vocabulary, val, seed),
        DataLoader(batches, batch_size=None),
        DataLoader(TensorDataset(torch.zeros(1)), batch_size=None),  # one validation step ranks the whole split
        ckpt_path=last,
        weights_only=True,
    )
    return Checkpoint.load(out / BEST)


def _resume_from(out: Path, resume: bool) -> Path | None:
    begun = any((out / name).exists() for name in (LOG, BEST, LAST))
    if resume and not begun:
        raise JsfError(f"{out} holds no run to resume.", "Start it without --resume.")
    if not resume and begun:
        raise JsfError(f"{out} already holds a run.", "Continue it with --resume, or name another folder with -o.")
    return out / LAST if (out / LAST).exists() else None  # a run killed in its first epoch starts again


def _check_same_run(out: Path, model: JSFusion, vocabulary: Vocabulary, recipe: dict[str, Any]) -> None:
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


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise JsfError(f"cannot make the folder {out}: {error.strerror}.", "Name another with -o.") from error


def _check_options(options: dict[str, Any]) -> None:
    if taken := sorted(RESERVED & set(options)):
        raise JsfError(f"jsf sets Lightning's {', '.join(taken)} itself.", "Leave it out; --epochs sets the epochs.")
    if str(options.get("precision", "")).endswith(("16-true", "64-true")):
        raise JsfError(f"precision {options['precision']} is not trained.", "Use --trainer precision=bf16-mixed.")


def _standardize(model: JSFusion, split: Captions) -> None:
    """Sets the frame encoder's standardization to the training videos' statistics, one video in memory at a time."""
    count, total, squares = 0, np.zeros(split.width), np.zeros(split.width)
    origin = split.store.read(split.video_ids[0])[0].astype(np.float64)  # sums about it keep their digits
    video_ids = list(dict.fromkeys(split.video_ids))
    for video_id in track(video_ids, "standardizing", len(video_ids)):
        steps = split.store.read(video_id) - origin
        count, total, squares = count + len(steps), total + steps.sum(0), squares + np.square(steps).sum(0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0))
    varies = deviation > 1e-6
    # A dimension that hardly varies is noise: at unit variance it would overflow FP16. One that never does is zero.
    floor = FLOOR * np.median(deviation[varies]) if varies.any() else 1.0
    scale = np.where(varies, 1 / np.maximum(deviation, floor), 0.0)
    model.frame_encoder.feature_mean.copy_(torch.from_numpy(origin + mean))
    model.frame_encoder.feature_scale.copy_(torch.from_numpy(scale))


def _set_word_vectors(model: JSFusion, vectors: npt.NDArray[np.float32], found: npt.NDArray[np.bool_]) -> None:
    with torch.no_grad():
        model.word_encoder.embedding.weight[torch.from_numpy(found)] = torch.from_numpy(vectors[found])


def _check_same_features(split: Captions, val: Captions) -> None:
    ours, theirs = (split.width, split.store.extractor), (val.width, val.store.extractor)
    if ours != theirs:
        raise JsfError(
            f"training features are {ours[0]} wide by '{ours[1]}', validation features {theirs[0]} by '{theirs[1]}'.",
            "Extract both with one extractor.",
        )


def _trainer(out: Path, recipe: Recipe, best: BestCheckpoint, options: dict[str, Any]) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", module="lightning")
    callbacks = [
        best,
        EarlyStopping("score", mode="max", patience=recipe.patience),
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
