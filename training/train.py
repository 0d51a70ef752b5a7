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
from jsf.training.checks import check_options, check_same_features, check_same_run, make_folder, resume_from
from jsf.training.module import RetrievalModule
from jsf.training.recipe import Recipe
from jsf.training.recipe import recipe as preset_recipe
from jsf.training.run import BEST, LAST, LOG, BestCheckpoint, WholeFiles, stopped_early

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
    last = resume_from(out, resume)
    check_options(trainer_options or {})
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
        check_same_run(out, model, vocabulary, {**asdict(recipe), "seed": seed})
        if stopped_early(out / LOG, recipe.patience):
            return Checkpoint.load(out / BEST)
    val = Captions(read_captions(val_captions), open_features(val_features), vocabulary)
    check_same_features(split, val)
    trainer = _trainer(out, recipe, BestCheckpoint(out, store.extractor), trainer_options or {})
    batches = ShuffledBatches(split, recipe.batch, recipe.neighbours, seed, trainer.world_size)
    make_folder(out)
    trainer.fit(
        RetrievalModule(model, recipe, vocabulary, val, seed),
        DataLoader(batches, batch_size=None),
        DataLoader(TensorDataset(torch.zeros(1)), batch_size=None),  # one validation step ranks the whole split
        ckpt_path=last,
        weights_only=True,
    )
    return Checkpoint.load(out / BEST)


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
