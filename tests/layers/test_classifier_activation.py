"""Builders take any activation of Keras for the classifier, as keras.applications does."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.cards.origin import origin_of


def mobilenet(**arguments: Any) -> keras.Model:
    return keras_archs.MobileNet(alpha=0.25, classes=3, input_shape=(32, 32, 3), **arguments)


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        ("sigmoid", "sigmoid"),
        (keras.activations.sigmoid, "sigmoid"),
        (keras.ops.tanh, "tanh"),
        (None, None),
    ],
)
def test_an_activation_is_given_by_name_or_as_a_function(activation: Any, name: str | None) -> None:
    model = mobilenet(classifier_activation=activation)
    logits = keras.Model(model.inputs, model.layers[-1].input)
    images = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    head = model.layers[-1]
    expected = keras.activations.get(activation)(logits(images) @ head.kernel + head.bias)
    np.testing.assert_allclose(model(images), expected, atol=1e-5)
    origin = origin_of(model)
    assert origin is not None
    assert origin.arguments["classifier_activation"] == name


@pytest.mark.parametrize("activation", ["sigmoyd", "", 3, True, ["softmax"]])
def test_what_is_no_activation_is_refused_with_what_is(activation: Any) -> None:
    with pytest.raises(ValueError, match=r'classifier_activation: .*"sigmoid" for a probability of each class'):
        mobilenet(classifier_activation=activation)


@pytest.mark.parametrize("activation", ["sigmoid", keras.activations.relu])
def test_imagenets_weights_take_the_activation_that_they_were_trained_with(activation: Any) -> None:
    with pytest.raises(ValueError, match="was trained with a softmax"):
        keras_archs.EfficientNetLite0(weights="imagenet", classifier_activation=activation)
