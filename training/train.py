"""`jsf train`: a split in, `best.pt` out."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ModelCheckpoint, RichProgressBar
from torch.utils.data import DataLoader, TensorDataset

from jsf.data.blanks import Blank
from jsf.data.errors import JsfError
from jsf.data.questions import Question
from jsf.data.split import Split
from jsf.data.vocabulary import Vocabulary
from jsf.data.word_vectors import read_word_vectors, words_with_vectors
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset as model_preset
from jsf.training.batches import ShuffledBatches
from jsf.training.checks import (
    check_options,
    check_recipe,
    check_same_features,
    check_same_run,
    make_folder,
    resume_from,
)
from jsf.training.examples import Examples
from jsf.training.fill_in_the_blank import BlankExamples
from jsf.training.inputs import set_word_vectors, standardize
from jsf.training.module import TrainingModule
from jsf.training.multiple_choice import ChoiceExamples
from jsf.training.recipe import Recipe, names, overridden
from jsf.training.recipe import recipe as preset_recipe
from jsf.training.retrieval import RetrievalExamples
from jsf.training.run import BEST, LAST, LOG, BestCheckpoint, WholeFiles, stopped_early

FILLS = "fill-in-the-blank"
FIXED = {"preset", "task", "feature_width", "vocabulary_size", "unseen"}
"""Fields of a model's configuration that the data and other options set."""

EXAMPLES: dict[str, type[Examples]] = {
    "retrieval": RetrievalExamples,
    "multiple-choice": ChoiceExamples,
    FILLS: BlankExamples,
}


def train(
    split: Split,
    val: Split,
    out: Path,
    task: str = "retrieval",
    preset: str = "paper",
    model: str = "jsfusion",
    unseen: int = 0,
    word_vectors: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    resume: bool = False,
    trainer_options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Trains a model and returns its best checkpoint, which lies in `out/best.pt`.

    Args:
        split: captions, questions or blanks to train on, as the task needs them, with their features.
        val: those that choose the epoch.
        out: the run's folder: best.pt, last.ckpt, metrics.jsonl.
        task: "retrieval", "multiple-choice" or "fill-in-the-blank".
        preset: "paper", "official" or "small".
        model: "jsfusion", or the name of an ablation.
        unseen: the last so many numbers of a frame are not looked at.
        word_vectors: in GloVe's text format; random where absent.
        settings: fields of the recipe or of the model's configuration, by name, instead of the preset's.
        seed: of weights, batches and dropout; a run on a CPU is reproducible from it.
        resume: continue the run in `out` after its last whole epoch.
        trainer_options: passed to Lightning's Trainer: precision, devices, strategy, accelerator, ...

    Raises:
        JsfError: the data, the preset or the options are wrong, or `out` holds a run and `resume` is not set.
    """
    last = resume_from(out, resume)
    options = dict(trainer_options or {})
    check_options(options)
    for_recipe, for_model = _sorted(settings or {})
    recipe = overridden(preset_recipe(preset, task), for_recipe)
    check_recipe(recipe)
    width = check_same_features(split, val)
    vocabulary = _vocabulary(split, recipe, task, word_vectors)
    config = model_preset(preset, task, width, len(vocabulary), model, unseen)
    config = overridden(config, for_model)
    seed_everything(seed, verbose=False)
    network = JSFusion(config)
    examples, held = (EXAMPLES[task](part, vocabulary, config, recipe) for part in (split, val))
    if recipe.standardize:
        standardize(network, split)
    if word_vectors:
        set_word_vectors(network, *read_word_vectors(word_vectors, vocabulary, config.word_width))
    network.word_encoder.embedding.requires_grad_(not recipe.frozen_words)

    if last:
        check_same_run(out, network, vocabulary, {**asdict(recipe), "seed": seed})
        if stopped_early(out / LOG, recipe.patience):
            return Checkpoint.load(out / BEST)
    trainer = _trainer(out, recipe, BestCheckpoint(out, split.store.extractor), options)
    batches = ShuffledBatches(examples, recipe.batch, seed, trainer.world_size)
    make_folder(out)
    trainer.fit(
        TrainingModule(network, recipe, vocabulary, examples, held, seed),
        DataLoader(batches, batch_size=None),
        DataLoader(TensorDataset(torch.zeros(1)), batch_size=None),  # one validation step ranks the whole split
        ckpt_path=last,
        weights_only=True,
    )
    return Checkpoint.load(out / BEST)


def _vocabulary(split: Split, recipe: Recipe, task: str, word_vectors: Path | None) -> Vocabulary:
    vocabulary = Vocabulary.build(sentences(split), recipe.min_count, blank=task == FILLS)
    if not recipe.open_vocabulary:
        return vocabulary
    if not word_vectors or task == FILLS:
        raise JsfError("open_vocabulary needs --word-vectors, and a task that scores sentences.")
    return Vocabulary(tuple(dict.fromkeys([*vocabulary.words, *words_with_vectors(word_vectors)])))


def _sorted(settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of the recipe and of the model's configuration; raises JsfError for those of neither."""
    free = names(JSFusionConfig) - FIXED
    if unknown := sorted(set(settings) - names(Recipe) - free):
        known = ", ".join(sorted(names(Recipe) | free))
        raise JsfError(f"there is no setting {', '.join(unknown)}.", f"Settings are: {known}.")
    recipe = {name: value for name, value in settings.items() if name in names(Recipe)}
    return recipe, {name: value for name, value in settings.items() if name in free}


def sentences(split: Split) -> Iterator[str]:
    """The sentences of a split, whole: what its vocabulary is built from."""
    for row in split.rows:
        if isinstance(row, Question):
            yield from row.options
        else:
            yield row.filled if isinstance(row, Blank) else row.sentence


def _trainer(out: Path, recipe: Recipe, best: BestCheckpoint, options: dict[str, Any]) -> Trainer:
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
