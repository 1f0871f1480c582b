"""The learning rate in the course of a training."""

from __future__ import annotations

import math

from keras_archs.training.tuning.recipe import Recipe


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate of a step.

    The rate depends on the share of the training that is done, so that a training of more or fewer epochs, or one that
    a time limit shortens, goes through all of the schedule.

    Args:
        recipe: Schedule and largest rate.
        progress: Share of the training before the step, from 0 to 1.

    Returns:
        The rate; in a warm-up, at least a hundredth of the largest.
    """
    warmup = min(recipe.warmup_epochs / recipe.epochs, 0.5)
    if progress < warmup:
        return recipe.learning_rate * max(progress / warmup, 0.01)
    if recipe.schedule == "steps":
        return recipe.learning_rate * recipe.decay ** sum(progress >= milestone for milestone in recipe.milestones)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
