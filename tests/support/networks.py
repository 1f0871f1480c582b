"""Random networks that compute something: weights under which signals neither vanish nor saturate."""

from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from keras_archs.layers import StochasticResidual
from keras_archs.registry import list_models, model_card

Floats = NDArray[np.float32]

FIXTURES = Path(__file__).parents[1] / "fixtures"


def macs(name: str) -> int:
    """What a network of the registry costs."""
    return model_card(name).cost.macs


FAMILIES = {
    model_card(name).family: name for name in sorted(list_models(), key=macs, reverse=True) if macs(name) < 10e9
}
"""The cheapest network of each family; SENet's only one takes minutes, and is made of what SE-ResNeXt is made of."""


@pytest.fixture(autouse=True)
def fresh_keras() -> Iterator[None]:
    """No test sees another's layer names, memory or precision."""
    keras.utils.clear_session()
    yield
    keras.config.set_dtype_policy("float32")


def photographs(height: int, width: int) -> Floats:
    """A batch of two normalised photographs."""
    images = (Image.fromarray(photograph()) for photograph in (data.coffee, data.chelsea))
    pixels = [image.resize((width, height), Image.Resampling.BICUBIC) for image in images]
    return np.stack([(np.asarray(image, np.float32) - 127) / 64 for image in pixels])


def calibrated(model: keras.Model, size: int = 192) -> keras.Model:
    """Give a network random weights; its batch normalisations get the statistics that these lead to.

    A network for images of any size sees some of ``size`` pixels.
    """
    random = np.random.default_rng(0)
    inside = list(model._flatten_layers(include_self=False))  # in branches of their own, too
    normalisations = [layer for layer in inside if isinstance(layer, keras.layers.BatchNormalization)]
    for variable in model.weights:
        match variable.name:
            case "kernel":
                depthwise = variable.shape[-1] == 1 and len(variable.shape) == 4
                fan_in = np.prod(variable.shape[:2] if depthwise else variable.shape[:-1])
                value = random.normal(0, np.sqrt(2 / fan_in), variable.shape)
            case "gamma":
                value = random.uniform(0.7, 1.3, variable.shape)
            case "beta" | "bias":
                value = random.normal(0, 0.2, variable.shape)
            case _:  # the moving statistics follow from the rest
                continue
        variable.assign(value)
    # Two photographs in training mode: what dropout drops would pass for what they differ in.
    rates = {layer: layer.rate for layer in inside if isinstance(layer, keras.layers.Dropout | StochasticResidual)}
    for layer in rates:
        layer.rate = 0.0
    height, width = (length or size for length in model.input_shape[1:3])
    images = photographs(height, width)
    for layer in normalisations:
        layer.momentum = 0.0
    model(images, training=True)
    for layer in normalisations:
        layer.momentum = 0.99
        # The last feature maps are small samples: no channel's variance is trusted fully.
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign(variance + 0.03 * np.median(variance))
    for layer, rate in rates.items():
        layer.rate = rate
    *_, head = model.layers
    features = np.asarray(keras.Model(model.input, head.input)(images))
    head.kernel.assign(head.kernel / np.std(features @ np.asarray(head.kernel)))
    return model


@pytest.fixture(scope="session")
def calibrate() -> Callable[..., keras.Model]:
    """`calibrated`, for tests."""
    return calibrated


def assert_same(ours: Floats, theirs: Floats, tolerance: float) -> None:
    """Compare the logits of two photographs, relative to how far the photographs are apart.

    Logits that hardly depend on the image, or that name one class only, would be equal too easily.
    """
    assert ours.shape == theirs.shape
    spread, distance = float(theirs.std()), float((theirs[0] - theirs[1]).std())
    assert 0.3 < spread < 3
    assert distance / spread > 0.05
    assert float(np.asarray(keras.ops.softmax(theirs)).max()) < 0.9
    assert float(np.abs(ours - theirs).max()) / distance < tolerance


def share_weights(ours: keras.Model, theirs: keras.Model) -> None:
    """Give their network our weights; a classifier may be a 1x1 convolution there."""
    assert [(v.name, _squeezed(v.shape)) for v in theirs.weights] == [
        (v.name, _squeezed(v.shape)) for v in ours.weights
    ]
    for their_variable, our_variable in zip(theirs.weights, ours.weights, strict=True):
        their_variable.assign(np.reshape(our_variable, their_variable.shape))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[2:] if shape[:2] == (1, 1) else shape
