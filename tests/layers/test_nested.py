"""The layers of a network are found inside nested models and wrapped branches."""

from __future__ import annotations

import keras
import pytest
from keras import layers

from keras_archs.layers import Recomputed, StochasticResidual
from keras_archs.layers.nested import all_layers, fast_statistics, normalisations


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """A normalisation in the network itself, and one each in a branch, in a recomputed branch and in a nested model."""

    def normalised(name: str) -> keras.Model:
        images = keras.Input((4, 4, 2))
        return keras.Model(images, layers.BatchNormalization(momentum=0.9997, name=name)(images))

    images = keras.Input((4, 4, 2))
    x = layers.BatchNormalization(momentum=0.5, name="own")(images)
    x = StochasticResidual(normalised("in_branch"), rate=0.5)([x, x])
    x = Recomputed(keras.Sequential([keras.Input((4, 4, 2)), normalised("in_recomputed")]))(x)
    return keras.Model(images, normalised("in_model")(x))


def test_all_layers_are_found(network: keras.Model) -> None:
    assert [layer.name for layer in normalisations(network)] == ["own", "in_branch", "in_recomputed", "in_model"]
    assert not any(isinstance(layer, keras.Model) for layer in all_layers(network))


def test_the_momenta_of_statistics_are_bounded_for_a_while(network: keras.Model) -> None:
    with fast_statistics(network, 0.9):
        assert [layer.momentum for layer in normalisations(network)] == [0.5, 0.9, 0.9, 0.9]
    assert [layer.momentum for layer in normalisations(network)] == [0.5, 0.9997, 0.9997, 0.9997]
