"""`jsf train --model hse` and `--model fse`: a split in, `best.pt` out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import seed_everything

from jsf.data.errors import JsfError
from jsf.data.split import Split
from jsf.data.task_names import EMBEDDINGS
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.config import HSEConfig
from jsf.models.hse.config import preset as model_preset
from jsf.models.hse.hse import HSE
from jsf.training.checks import check_options, check_same_features, resume_from
from jsf.training.fit import fit
from jsf.training.hse.examples import HSEExamples, as_paragraphs
from jsf.training.hse.module import HSEModule
from jsf.training.hse.recipe import RECIPES, HSERecipe, check_recipe
from jsf.training.inputs import build_vocabulary, prepare
from jsf.training.recipe import names, overridden, sorted_settings

FIXED = {"preset", "feature_width", "vocabulary_size", "hierarchical"}
"""Fields of a model's configuration that the data and other options set."""


def train_embedding(
    split: Split,
    val: Split,
    out: Path,
    preset: str = "paper",
    model: str = "hse",
    word_vectors: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    resume: bool = False,
    trainer_options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Trains an embedding and returns its best checkpoint, which lies in `out/best.pt`.

    Args:
        split: paragraphs to train on, or captions for a flat model, with their features.
        val: those that choose the epoch.
        out: the run's folder: best.pt, last.ckpt, metrics.jsonl.
        preset: "paper" or "small".
        model: "hse" or "fse".
        word_vectors: in GloVe's text format; random where absent.
        settings: fields of the recipe or of the model's configuration, by name, instead of the preset's.
        seed: of weights, batches and dropout; a run on a CPU is reproducible from it.
        resume: continue the run in `out` after its last whole epoch.
        trainer_options: passed to Lightning's Trainer: precision, devices, strategy, accelerator, ...

    Raises:
        JsfError: the data, the preset or the options are wrong, or `out` holds a run and `resume` is not set.
    """
    if model not in EMBEDDINGS:
        raise JsfError(f"there is no embedding '{model}', expected one of: {', '.join(EMBEDDINGS)}.")
    last = resume_from(out, resume)
    options = dict(trainer_options or {})
    check_options(options)
    if preset not in RECIPES:
        raise JsfError(f"there is no preset '{preset}' of {model}, expected one of: {', '.join(RECIPES)}.")
    for_recipe, for_model = sorted_settings(settings or {}, HSERecipe, names(HSEConfig) - FIXED)
    recipe = overridden(RECIPES[preset], for_recipe)
    check_recipe(recipe, model == "hse", settings or {})
    width = check_same_features(split, val)
    vocabulary = build_vocabulary(split, recipe, word_vectors)
    config = overridden(model_preset(preset, model, width, len(vocabulary)), for_model)
    as_paragraphs(val.rows, config.hierarchical)  # refused now, not after the first epoch
    seed_everything(seed, verbose=False)
    network = HSE(config)
    examples = HSEExamples(split, vocabulary, config.limits, recipe)
    prepare(network.video_encoder, network.text_encoder.embedding, split, vocabulary, recipe, word_vectors)
    loop = HSEModule(network, recipe, vocabulary, val, seed)
    return fit(out, loop, examples, split.store.extractor, last, options)
