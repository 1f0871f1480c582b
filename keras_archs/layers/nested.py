"""The layers of a network, inside nested models and wrapped branches too."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from keras import layers

from keras_archs.layers.branch import BranchLayer


def all_layers(model: keras.Model) -> Iterator[layers.Layer]:
    """Yield the layers of a model; in the place of a nested model or a wrapped branch, its layers."""
    for layer in model.layers:
        inner = layer.branch if isinstance(layer, BranchLayer) else layer
        if isinstance(inner, keras.Model):
            yield from all_layers(inner)
        else:
            yield inner


def normalisations(model: keras.Model) -> list[layers.BatchNormalization]:
    """Return the batch normalisations of a model."""
    return [layer for layer in all_layers(model) if isinstance(layer, layers.BatchNormalization)]


@contextmanager
def fast_statistics(model: keras.Model, momentum: float) -> Iterator[None]:
    """Bound the momentum of the moving statistics of batch normalisation within the context.

    The networks' own momenta, 0.9 to 0.9997, average over more steps than a short training has. Functions that Keras
    traced before contain the momenta of before.

    Args:
        model: The network.
        momentum: Largest momentum, from 0 to 1.
    """
    momenta = {normalisation: normalisation.momentum for normalisation in normalisations(model)}
    try:
        for normalisation, own in momenta.items():
            normalisation.momentum = min(own, momentum)
        yield
    finally:
        for normalisation, own in momenta.items():
            normalisation.momentum = own
