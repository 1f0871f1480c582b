"""A recipe holds allowed values only, and the recipes by name are those of the papers."""

from dataclasses import replace
from typing import Any

import pytest

from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.recipes import RECIPES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimizer": "adam"}, "optimizer of a recipe must be one of sgd, adamw; got 'adam'"),
        ({"learning_rate": 0}, "learning_rate of a recipe must be a number above 0; got 0"),
        ({"learning_rate": float("nan")}, "learning_rate of a recipe must be a number above 0; got nan"),
        ({"epochs": 0}, "epochs of a recipe must be an integer of at least 1; got 0"),
        ({"epochs": 2.5}, "epochs of a recipe must be an integer of at least 1; got 2.5"),
        ({"batch": True}, "batch of a recipe must be an integer of at least 1; got True"),
        ({"warmup_epochs": -1}, "warmup_epochs of a recipe must be a number of at least 0; got -1"),
        ({"momentum": 1}, "momentum of a recipe must be a number of at least 0 and below 1; got 1"),
        ({"ema": 1.0}, "ema of a recipe must be a number of at least 0 and below 1; got 1.0"),
        ({"clip_norm": 0}, "clip_norm of a recipe must be a number above 0, or none; got 0"),
        ({"nesterov": "yes"}, "nesterov of a recipe must be true or false; got 'yes'"),
        (
            {"schedule": "steps", "milestones": (0.5, 0.4)},
            r"milestones of a recipe must be increasing numbers between 0 and 1; got \(0.5, 0.4\)",
        ),
        ({"schedule": "steps"}, "a schedule of steps needs milestones"),
        ({"milestones": (0.5,)}, "no other schedule has any"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused_with_what_is_allowed(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Recipe(), **change)


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "weight_decay", "falls_at", "decay"),
    [
        ("resnet-cifar", 164, 128, 1e-4, [82, 123], 0.1),
        ("wide-resnet", 200, 128, 5e-4, [60, 120, 160], 0.2),
        ("stochastic-depth", 500, 128, 1e-4, [250, 375], 0.1),
        ("densenet", 300, 64, 1e-4, [150, 225], 0.1),
        ("resnext-cifar", 300, 128, 5e-4, [150, 225], 0.1),
    ],
)
def test_the_recipes_of_the_papers_have_the_constants_of_the_papers(
    name: str, epochs: int, batch: int, weight_decay: float, falls_at: list[int], decay: float
) -> None:
    recipe = RECIPES[name]
    assert (recipe.optimizer, recipe.learning_rate, recipe.momentum) == ("sgd", 0.1, 0.9)
    assert (recipe.epochs, recipe.batch, recipe.weight_decay, recipe.decay) == (epochs, batch, weight_decay, decay)
    assert [milestone * epochs for milestone in recipe.milestones] == pytest.approx(falls_at)
    assert recipe.decayed == "all"
    assert (recipe.augmentation.crop, recipe.augmentation.flip) == ("padded", True)
