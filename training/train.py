"""`jsf train`: a split in, `best.pt` out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import seed_everything

from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.data.task_names import FILLS
from jsf.models.checkpoint import Checkpoint
from jsf.models.config import JSFusionConfig
from jsf.models.jsfusion import JSFusion
from jsf.models.presets import preset as model_preset
from jsf.training.checks import (
    check_options,
    check_recipe,
    check_same_features,
    resume_from,
)
from jsf.training.closed_form import set_in_closed_form
from jsf.training.examples import Examples
from jsf.training.fill_in_the_blank import BlankExamples, begin_as_words
from jsf.training.fit import fit
from jsf.training.inputs import build_vocabulary, prepare
from jsf.training.module import TrainingModule
from jsf.training.multiple_choice import ChoiceExamples
from jsf.training.recipe import Recipe, names, overridden, sorted_settings
from jsf.training.recipe import recipe as preset_recipe
from jsf.training.retrieval import RetrievalExamples

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
    for_recipe, for_model = sorted_settings(settings or {}, Recipe, names(JSFusionConfig) - FIXED)
    recipe = overridden(preset_recipe(preset, task), for_recipe)
    check_recipe(recipe)
    width = check_same_features(split, val)
    for name in ("open_vocabulary", "closed_form"):
        if task == FILLS and getattr(recipe, name):
            raise JsfError(f"{name} is for tasks that score sentences.", "Leave it out.")
    if recipe.frame_loss and task != FILLS:
        raise JsfError("frame_loss is for fill-in-the-blank.", "Leave it out.")
    vocabulary = build_vocabulary(split, recipe, word_vectors, blank=task == FILLS)
    config = model_preset(preset, task, width, len(vocabulary), model, unseen)
    config = overridden(config, for_model)
    seed_everything(seed, verbose=False)
    network = JSFusion(config)
    examples, held = (EXAMPLES[task](part, vocabulary, config, recipe) for part in (split, val))
    prepare(network.frame_encoder, network.word_encoder.embedding, split, vocabulary, recipe, word_vectors)
    if recipe.answer_vectors:
        begin_as_words(network, recipe.answer_vectors)
    if recipe.closed_form:
        set_in_closed_form(network, split, vocabulary)
    loop = TrainingModule(network, recipe, vocabulary, examples, held, seed)
    return fit(out, loop, examples, split.store.extractor, last, options)
