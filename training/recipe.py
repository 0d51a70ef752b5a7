"""Training recipes, one per preset and task. A recipe is data, like the preset of the model that it trains."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from jsf.data.errors import JsfError

Settings = TypeVar("Settings")
KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a name", tuple: "a list"}


@dataclass(frozen=True)
class CommonRecipe:
    """How any model is trained.

    Attributes:
        epochs: passes over the examples.
        validate_every: epochs from one validation to the next; the last epoch is validated too.
        patience: epochs without a better validation score after which training stops.
        batch: examples a batch: captions with their videos, of which all pairs are scored; questions; or blanks.
        neighbours: captions of a batch that accompany each shuffled one because they share most words with it.
        exchanges: copies of each caption with a word exchanged, which its video is to tell from it.
        frozen_words: word vectors stay as they were read.
        open_vocabulary: the vocabulary has the words of the file of word vectors too, not those of the captions alone.
        jitter: draw other steps of a video that is longer than what the model takes each time.
        learning_rate: Adam's; it warms up over the first 5% of the steps and then follows a cosine, where `anneal`,
            else it falls as the authors' does.
        anneal: whether it does.
        l2: lambda of equations 6 and 7 of JSFusion.
        clip: limit of the gradient's global norm (5 in JSFusion's authors' code).
        standardize: scale features by the training set's mean and standard deviation.
        min_count: a word enters the vocabulary when it occurs this often.
    """

    epochs: int = 30
    validate_every: int = 1
    patience: int = 10
    batch: int = 10
    neighbours: int = 0
    exchanges: int = 0
    frozen_words: bool = False
    open_vocabulary: bool = False
    jitter: bool = False
    learning_rate: float = 1e-4
    anneal: bool = False
    l2: float = 5e-4
    clip: float = 5.0
    standardize: bool = False
    min_count: int = 4


@dataclass(frozen=True)
class Recipe(CommonRecipe):
    """How a JSFusion model is trained.

    Attributes:
        mined: wrong captions of each video, and wrong videos of each caption, that are matched: those whose encodings
            align best; 0 matches all pairs of a batch.
        alignment: weight of the alignment loss of the encodings; 0 leaves it out.
        alone: epochs of the alignment loss alone, before the first pair is matched.
        distill: weight of what the matcher's scores are to learn from the alignment: the order of all pairs of a batch.
        matched_frames: encoded frames of each video that are matched, one of each part of it; 0 matches all.
        answer_vectors: of fill-in-the-blank, how many times the word vectors the rows of D8 begin as, so that words of
            like meaning begin with like scores; 0 begins at random. D7 is then as wide as a word vector.
        frame_loss: of fill-in-the-blank, weight of the loss of what the mean encoded frame alone says of the blank.
        closed_form: the encoders are set from all pairs at once and stay; the matcher alone learns, from `distill` too.
        candidates: sentences scored with each video of a question (L in the paper).
        margin: Delta of the ranking loss.
        both_directions: rank sentences for a video too.
        contrastive: cross-entropy of the true pair among the wrong ones, instead of the ranking loss.
        checkpointing: keep no activations of JST and CHD for the way back: an eighth of the memory, a third more time.
    """

    mined: int = 0
    alignment: float = 0.0
    alone: int = 0
    distill: float = 0.0
    matched_frames: int = 0
    answer_vectors: float = 0.0
    frame_loss: float = 0.0
    closed_form: bool = False
    candidates: int = 10
    margin: float = 10.0
    both_directions: bool = False
    contrastive: bool = False
    checkpointing: bool = False


_SMALL: dict[str, Any] = {
    "epochs": 50,
    "validate_every": 5,
    "patience": 50,
    "batch": 16,
    "neighbours": 3,
    "exchanges": 2,
    "mined": 1,
    "alignment": 2.0,
    "alone": 20,
    "jitter": True,
    "learning_rate": 1e-3,
    "anneal": True,
    "contrastive": True,
    "l2": 0.0,
    "standardize": True,
}

RECIPES: dict[str, dict[str, Recipe]] = {
    "retrieval": {"paper": Recipe(), "official": Recipe(l2=0.0), "small": Recipe(**_SMALL)},
    "multiple-choice": {
        "paper": Recipe(),
        "official": Recipe(batch=32, candidates=5, l2=0.0),
        "small": Recipe(**_SMALL),
    },
    "fill-in-the-blank": {
        "paper": Recipe(batch=32),
        "official": Recipe(batch=32, l2=0.0),
        "small": Recipe(
            epochs=12,
            validate_every=3,
            patience=12,
            batch=32,
            learning_rate=1e-3,
            anneal=True,
            l2=0.0,
            matched_frames=10,
            standardize=True,
        ),
    },
}
"""Task -> preset -> recipe. Sources: sections 3.5 and 3.6; the authors' code, whose L2 is never added to the loss."""


def recipe(preset: str, task: str) -> Recipe:
    """The recipe for a preset and a task.

    Raises:
        JsfError: there is no such task or preset.
    """
    if task not in RECIPES:
        raise JsfError(f"there is no task '{task}', expected one of: {', '.join(RECIPES)}.")
    if preset not in RECIPES[task]:
        raise JsfError(f"there is no preset '{preset}', expected one of: {', '.join(RECIPES[task])}.")
    return RECIPES[task][preset]


def overridden(value: Settings, settings: Mapping[str, Any]) -> Settings:
    """A recipe or a configuration with some of its fields set.

    Raises:
        JsfError: a value is not of its field's type.
    """
    for name, new in settings.items():
        old = getattr(value, name)
        if isinstance(old, tuple) and isinstance(new, list):
            if len(new) != len(old) or not all(type(number) is int for number in new):
                raise JsfError(f"{name} is {new!r}, expected {len(old)} numbers such as {list(old)}.")
            settings = {**settings, name: tuple(new)}
        elif type(new) is not type(old) and not (isinstance(old, float) and type(new) is int):
            raise JsfError(f"{name} is {new!r}, expected {KINDS[type(old)]} such as {old!r}.")
    return replace(value, **settings)  # type: ignore[type-var]


def names(kind: Any) -> set[str]:
    """The names of a configuration's fields."""
    return {field.name for field in fields(kind)}


def sorted_settings(
    settings: Mapping[str, Any], recipe: Any, of_model: set[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of a recipe and of a model's configuration.

    Args:
        settings: by name.
        recipe: the recipe's class.
        of_model: the names of the configuration's fields that can be set.

    Raises:
        JsfError: a setting is of neither.
    """
    of_recipe = names(recipe)
    if unknown := sorted(set(settings) - of_recipe - of_model):
        known = ", ".join(sorted(of_recipe | of_model))
        raise JsfError(f"there is no setting {', '.join(unknown)}.", f"Settings are: {known}.")
    recipe_settings = {name: value for name, value in settings.items() if name in of_recipe}
    return recipe_settings, {name: value for name, value in settings.items() if name in of_model}
