"""Training with TensorFlow's fused batch normalisation computes what Keras' own does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from keras_archs.training.tuning.fused_normalisation import fused_normalisation

IMAGES = np.random.default_rng(0).normal(3, 2, (4, 6, 5, 3)).astype(np.float32)
MASKS = np.random.default_rng(1).normal(size=IMAGES.shape).astype(np.float32)


def network(**options: Any) -> keras.Model:
    """Return a normalisation with parameters that are not the initial ones."""
    inputs = keras.Input((None, None, 3))
    layer = keras.layers.BatchNormalization(**options)
    model = keras.Model(inputs, layer(inputs))
    generator = np.random.default_rng(2)
    model.set_weights([generator.uniform(0.5, 2, weight.shape) for weight in model.get_weights()])
    return model


def step(model: keras.Model, images: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return outputs, gradients and moving statistics of a training step."""
    pixels = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(pixels)
        outputs = model(pixels, training=True)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) * MASKS[: len(images), : images.shape[1], : images.shape[2]])
    gradients = tape.gradient(loss, [pixels, *(variable.value for variable in model.trainable_variables)])
    return [np.asarray(value, np.float32) for value in (outputs, *gradients, *model.non_trainable_variables)]


@pytest.mark.parametrize(
    "options",
    [{}, {"epsilon": 1e-5}, {"momentum": 0.5}, {"scale": False}, {"center": False}],
    ids=lambda options: ", ".join(options) or "defaults",
)
def test_outputs_gradients_and_moving_statistics_are_those_of_keras(options: dict[str, Any]) -> None:
    own, fused = network(**options), network(**options)
    expected = step(own, IMAGES)
    with fused_normalisation(fused):
        found = step(fused, IMAGES)
    assert len(found) == len(expected)
    for value, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-4)


def test_a_single_pixel_is_normalised_as_keras_does() -> None:
    own, fused = network(), network()
    expected = step(own, IMAGES[:1, :1, :1])
    with fused_normalisation(fused):
        found = step(fused, IMAGES[:1, :1, :1])
    for value, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-4, atol=1e-4)


def test_frozen_normalisations_and_inference_use_the_moving_statistics() -> None:
    model = network()
    expected = model(IMAGES, training=False)
    with fused_normalisation(model):
        np.testing.assert_array_equal(model(IMAGES, training=False), expected)
        model.layers[1].trainable = False
        np.testing.assert_array_equal(model(IMAGES, training=True), expected)


def test_after_the_context_the_layers_are_keras_own() -> None:
    model = network()
    layer = model.layers[1]
    with fused_normalisation(model):
        assert "call" in vars(layer)
    assert "call" not in vars(layer)
    assert type(keras.models.clone_model(model).layers[1]) is keras.layers.BatchNormalization


@pytest.mark.parametrize("shape", [(7,), (9, 3)])
def test_normalisations_of_anything_but_images_stay_keras_own(shape: tuple[int, ...]) -> None:
    inputs = keras.Input(shape)
    model = keras.Model(inputs, keras.layers.BatchNormalization()(inputs))
    with fused_normalisation(model):
        assert "call" not in vars(model.layers[1])
