"""Recipes of HSE and FSE. A recipe is data, like the preset of the model that it trains."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from jsf.data.errors import JsfError
from jsf.models.config import check_choices
from jsf.training.checks import check_numbers
from jsf.training.recipe import CommonRecipe

Loss = Literal["hinge", "hardest", "contrastive"]


@dataclass(frozen=True)
class HSERecipe(CommonRecipe):
    """How an embedding model is trained.

    Attributes:
        loss: of matching: the hinge of all wrong ones, of the hardest, or the cross-entropy of the true one.
        average: divide the hinges' sum by the square of the batch.
        temperature: of the cross-entropy.
        context: weight of matching the whole video with the whole text, as the lower level sees them.
        within: weight of keeping videos apart from each other, and texts, at each level that is matched.
        low: weight of matching clips with sentences.
        weak: which clip belongs to which sentence is not used, as where clips are proposals.
        reconstruct_high: weight of reconstructing the parts from the whole (tau).
        reconstruct_low: weight of reconstructing frames and words from the parts.
    """

    epochs: int = 30
    batch: int = 64
    learning_rate: float = 1e-3
    l2: float = 0.0
    clip: float = 0.0
    loss: Loss = "hinge"
    average: bool = False
    temperature: float = 0.05
    context: float = 1.0
    within: float = 0.5
    low: float = 1.0
    weak: bool = False
    reconstruct_high: float = 5e-4
    reconstruct_low: float = 1e-4

    def __post_init__(self) -> None:
        """Raises JsfError where the loss is none of those there are."""
        check_choices(self)


_SMALL: dict[str, Any] = {
    "epochs": 40,
    "patience": 40,
    "validate_every": 5,
    "batch": 32,
    "anneal": True,
    "jitter": True,
    "standardize": True,
    "min_count": 1,
    "clip": 5.0,
    "loss": "contrastive",
    "within": 0.0,
}

RECIPES: dict[str, HSERecipe] = {"paper": HSERecipe(min_count=1), "small": HSERecipe(**_SMALL)}
"""Preset -> recipe. Source: the authors' code (HSE), tau = 5e-4."""


OF_LEVELS = {"context", "low", "weak", "reconstruct_high", "reconstruct_low", "words"}
"""Settings of the recipe and of the model that have no part in a flat one; a captioner takes its clips and segments."""


def check_recipe(recipe: HSERecipe, hierarchical: bool, settings: Iterable[str]) -> None:
    """Raises JsfError for a recipe that cannot be followed, or `settings` that would do nothing."""
    without = {"average"} if recipe.loss == "contrastive" else {"temperature"}
    if unused := sorted(set(settings) & (without if hierarchical else without | OF_LEVELS)):
        raise JsfError(
            f"{', '.join(unused)} has no part in {'hse' if hierarchical else 'fse'} with the loss '{recipe.loss}'.",
            "Leave it out.",
        )
    check_numbers(recipe)
    if recipe.temperature <= 0:
        raise JsfError(f"temperature is {recipe.temperature}, expected more than 0.")
    if hierarchical and recipe.exchanges:
        raise JsfError("exchanges of words are for a flat model: --model fse.", "Leave it out.")
