"""Training recipes, one per preset. A recipe is data, like the preset of the model that it trains."""

from dataclasses import dataclass

from jsf.data.errors import JsfError


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        epochs: passes over the captions.
        patience: epochs without a better validation score after which training stops.
        batch: captions a batch, each with its video; all batch x batch pairs are scored.
        neighbours: captions of a batch that accompany each shuffled one because they share most words with it.
        learning_rate: Adam's; it warms up over the first 5% of the steps and then follows a cosine, where `anneal`.
        anneal: whether it does.
        margin: Delta of the ranking loss.
        both_directions: rank sentences for a video too.
        l2: lambda of equation 6.
        clip: limit of the gradient's global norm (5 in the authors' code).
        standardize: scale features by the training set's mean and standard deviation.
        min_count: a word enters the vocabulary when it occurs this often.
    """

    epochs: int = 30
    patience: int = 10
    batch: int = 10
    neighbours: int = 0
    learning_rate: float = 1e-4
    anneal: bool = False
    margin: float = 10.0
    both_directions: bool = False
    l2: float = 5e-4
    clip: float = 5.0
    standardize: bool = False
    min_count: int = 4


RECIPES = {
    "paper": Recipe(),
    "small": Recipe(
        epochs=16,
        patience=12,
        batch=8,
        neighbours=3,
        learning_rate=1e-3,
        anneal=True,
        margin=1.0,
        both_directions=True,
        l2=0.0,
        standardize=True,
    ),
}


def recipe(preset: str) -> Recipe:
    """The recipe for a preset.

    Raises:
        JsfError: there is no such preset.
    """
    if preset not in RECIPES:
        raise JsfError(f"there is no preset '{preset}', expected one of: {', '.join(RECIPES)}.")
    return RECIPES[preset]
