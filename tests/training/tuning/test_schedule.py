"""The learning rate depends on the share of the training that is done."""

from dataclasses import replace

import pytest

from keras_archs.training.tuning.recipe import Recipe
from keras_archs.training.tuning.recipes import RECIPES
from keras_archs.training.tuning.schedule import learning_rate

COSINE = Recipe(learning_rate=0.4, epochs=10, warmup_epochs=1)


def test_the_rate_rises_in_the_warm_up_and_falls_to_zero_along_a_cosine() -> None:
    shares = [0, 0.05, 0.1, 0.55, 1]
    assert [learning_rate(COSINE, share) for share in shares] == pytest.approx([0.004, 0.2, 0.4, 0.2, 0])


def test_without_warm_up_the_first_step_has_the_largest_rate() -> None:
    assert learning_rate(replace(COSINE, warmup_epochs=0), 0) == 0.4


def test_a_warm_up_takes_at_most_half_of_a_short_training() -> None:
    short = replace(COSINE, epochs=1, warmup_epochs=5)
    assert [learning_rate(short, share) for share in (0.25, 0.5, 0.75)] == pytest.approx([0.2, 0.4, 0.2])


def test_steps_multiply_the_rate_at_each_milestone_however_many_epochs_there_are() -> None:
    for recipe in (RECIPES["wide-resnet"], replace(RECIPES["wide-resnet"], epochs=20)):
        rates = [learning_rate(recipe, share) for share in (0, 0.299, 0.3, 0.6, 0.8, 0.999)]
        assert rates == pytest.approx([0.1, 0.1, 0.02, 0.004, 0.0008, 0.0008])
