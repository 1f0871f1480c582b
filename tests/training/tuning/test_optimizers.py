"""Weights change as the papers say, and only the weights decay that a recipe names."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from keras_archs.training.tuning.optimizers import make_optimizer
from keras_archs.training.tuning.recipe import Recipe

GRADIENT = 0.5


def network() -> keras.Model:
    """A depthwise convolution, a normalisation and a classifier, all weights 2."""
    images = keras.Input((4, 4, 3))
    x = layers.DepthwiseConv2D(3, name="depthwise")(images)
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization(name="normalisation")(x))
    model = keras.Model(images, layers.Dense(2, name="classifier")(x))
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, 2.0))
    return model


def after_steps(recipe: Recipe, steps: int) -> dict[str, float]:
    """Return each trained weight after steps with a constant gradient."""
    model = network()
    optimizer = make_optimizer(recipe, model, steps=100)
    variables = model.trainable_variables
    for _ in range(steps):
        optimizer.apply([keras.ops.full(v.shape, GRADIENT) for v in variables], variables)
    values = {v.path: np.unique(keras.ops.convert_to_numpy(v)) for v in variables}
    assert all(np.ptp(value) < 1e-6 for value in values.values())
    return {path: float(value[0]) for path, value in values.items()}


def by_hand(decay: float, *, nesterov: bool) -> float:
    """Two steps of fb.resnet.torch's optimizer: rate 0.1, momentum 0.9."""
    weight, velocity = 2.0, 0.0
    for _ in range(2):
        gradient = GRADIENT + decay * weight
        velocity = 0.9 * velocity + gradient
        weight -= 0.1 * (gradient + 0.9 * velocity if nesterov else velocity)
    return weight


@pytest.mark.parametrize("nesterov", [True, False])
def test_sgd_adds_the_decay_to_the_gradient_of_kernels_but_not_of_biases_normalisations_and_depthwise_kernels(
    nesterov: bool,
) -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.9, nesterov=nesterov, weight_decay=0.3)
    weights = after_steps(recipe, 2)
    assert weights.pop("classifier/kernel") == pytest.approx(by_hand(0.3, nesterov=nesterov), rel=1e-6)
    assert len(weights) == 5
    assert list(weights.values()) == pytest.approx([by_hand(0, nesterov=nesterov)] * 5, rel=1e-6)


def test_the_papers_programs_let_every_weight_decay() -> None:
    weights = after_steps(Recipe(learning_rate=0.1, weight_decay=0.3, decayed="all"), 2)
    assert list(weights.values()) == pytest.approx([by_hand(0.3, nesterov=True)] * 6, rel=1e-6)


def test_adamw_reduces_kernels_beside_the_gradient() -> None:
    weights = after_steps(Recipe(optimizer="adamw", learning_rate=0.1, weight_decay=0.3), 1)
    # the first step of Adam is the rate, whatever the gradient
    assert weights.pop("classifier/kernel") == pytest.approx(2 * (1 - 0.1 * 0.3) - 0.1, rel=1e-5)
    assert list(weights.values()) == pytest.approx([1.9] * 5, rel=1e-5)


def test_the_gradient_of_all_weights_together_is_no_longer_than_the_recipe_says() -> None:
    clipped = after_steps(Recipe(learning_rate=1.0, momentum=0.0, clip_norm=1e-3), 1)
    count = sum(int(np.prod(v.shape)) for v in network().trainable_variables)
    assert list(clipped.values()) == pytest.approx([2 - 1e-3 / np.sqrt(count)] * 6, rel=1e-6)


def test_a_short_training_averages_its_weights_over_fewer_steps() -> None:
    recipe = Recipe(ema=0.999)
    momenta = [make_optimizer(recipe, network(), steps).ema_momentum for steps in (10, 200, 1_000_000)]
    assert momenta == pytest.approx([0, 0.9, 0.999])
