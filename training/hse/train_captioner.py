"""`jsf train --task captioning`: a trained embedding and a split in, `best.pt` out."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning import seed_everything

from jsf.data.clips import WHOLE
from jsf.data.errors import JsfError
from jsf.data.narrations import narrations
from jsf.data.split import Split
from jsf.models.checkpoint import Checkpoint
from jsf.models.hse.captioner import Captioner, CaptionerConfig
from jsf.models.hse.captioner import preset as model_preset
from jsf.training.checks import BEST, check_numbers, check_options, check_same_features, resume_from
from jsf.training.fit import fit
from jsf.training.hse.captioner import CheckpointCaptioner
from jsf.training.hse.captioning import CaptionExamples, CaptioningModule
from jsf.training.inputs import build_vocabulary, prepare
from jsf.training.recipe import CommonRecipe, names, overridden, sorted_settings
from jsf.training.scorer import on_device

FIXED = {"preset", "embedding", "vocabulary_size"}
"""Fields of a captioner's configuration that the data and other options set."""

UNUSED = ("neighbours", "exchanges", "jitter", "standardize", "open_vocabulary")
"""Settings of other models' training that have no part in a captioner's."""


@dataclass(frozen=True)
class CaptioningRecipe(CommonRecipe):
    """How a captioner is trained."""

    epochs: int = 25
    batch: int = 64
    learning_rate: float = 1e-3
    l2: float = 0.0
    min_count: int = 1


RECIPES = {"paper": CaptioningRecipe(), "small": CaptioningRecipe(anneal=True)}
"""Preset -> recipe."""


def train_captioner(
    split: Split,
    val: Split,
    out: Path,
    start: Path,
    preset: str = "paper",
    word_vectors: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    resume: bool = False,
    trainer_options: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Trains a captioner over a trained embedding and returns its best checkpoint, which lies in `out/best.pt`.

    It has its own vocabulary, of the training sentences, and holds all that it needs of the embedding.

    Args:
        split: captions of whole videos, or paragraphs with the clips of their sentences, to train on.
        val: those that choose the epoch.
        out: the run's folder: best.pt, last.ckpt, metrics.jsonl.
        start: the checkpoint of an HSE or an FSE, trained on features of the same extractor.
        preset: "paper" or "small".
        word_vectors: in GloVe's text format; random where absent.
        settings: fields of the recipe or of the model's configuration, by name, instead of the preset's.
        seed: of weights, batches and dropout; a run on a CPU is reproducible from it.
        resume: continue the run in `out` after its last whole epoch.
        trainer_options: passed to Lightning's Trainer: precision, devices, strategy, accelerator, ...

    Raises:
        JsfError: the data, the checkpoint, the preset or the options are wrong, or `out` holds a run and `resume` is
            not set.
    """
    last = resume_from(out, resume)
    options = dict(trainer_options or {})
    check_options(options)
    embedding = Checkpoint.load(start)
    encoder = embedding.hse.video_encoder
    if preset not in RECIPES:
        raise JsfError(f"there is no preset '{preset}' of captioning, expected one of: {', '.join(RECIPES)}.")
    for_recipe, for_model = sorted_settings(settings or {}, CaptioningRecipe, names(CaptionerConfig) - FIXED)
    if unused := sorted(set(UNUSED) & set(for_recipe)):
        raise JsfError(f"{', '.join(unused)} has no part in captioning.", "Leave it out.")
    recipe = overridden(RECIPES[preset], for_recipe)
    check_numbers(recipe)
    check_same_features(split, val)
    vocabulary = build_vocabulary(split, recipe, word_vectors)
    of_whole_videos = all(narration.spans == (WHOLE,) for narration in narrations(split.rows))
    segments = 1 if of_whole_videos else embedding.hse.config.segments
    config = overridden(model_preset(preset, embedding.hse.config, len(vocabulary), segments), for_model)
    seed_everything(seed, verbose=False)
    network = Captioner(config)
    network.video_encoder.load_state_dict(encoder.state_dict())
    if last:
        check_same_embedding(out, network)
    prepare(network.video_encoder, network.decoder.embedding, split, vocabulary, recipe, word_vectors)
    extractor = embedding.extractor or split.store.extractor
    captioner = CheckpointCaptioner(on_device(network, start, "auto", "fp32"), vocabulary, extractor)
    examples, held = (CaptionExamples(part, captioner) for part in (split, val))
    return fit(out, CaptioningModule(network, recipe, vocabulary, held, seed), examples, extractor, last, options)


def check_same_embedding(out: Path, network: Captioner) -> None:
    """Raises JsfError where the run in `out` began with another embedding, which its decoder has learnt to read."""
    if not (out / BEST).is_file():
        return  # what `fit` refuses
    before, now = (model.video_encoder.state_dict() for model in (Checkpoint.load(out / BEST).captioner, network))
    if before.keys() != now.keys() or not all(torch.equal(before[name], now[name]) for name in now):
        raise JsfError(f"{out} holds a run that began with another embedding.", "Resume with its own: --start")
