"""Networks with calibrated random weights, under which signals neither vanish nor saturate."""

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
    """Return the multiply-adds of a network of the registry."""
    return model_card(name).cost.macs


FAMILIES = {
    model_card(name).family: name for name in sorted(list_models(), key=macs, reverse=True) if macs(name) < 10e9
}
"""Cheapest network of each family below 10 billion multiply-adds. That leaves out SENet-154, which takes minutes and
consists of SE-ResNeXt's parts."""


@pytest.fixture(autouse=True)
def fresh_keras() -> Iterator[None]:
    """Reset Keras' layer names, memory and precision for each test."""
    keras.utils.clear_session()
    yield
    keras.config.set_dtype_policy("float32")


def photographs(height: int, width: int) -> Floats:
    """Return a batch of two normalised photographs, shape (2, height, width, 3)."""
    images = (Image.fromarray(photograph()) for photograph in (data.coffee, data.chelsea))
    pixels = [image.resize((width, height), Image.Resampling.BICUBIC) for image in images]
    return np.stack([(np.asarray(image, np.float32) - 127) / 64 for image in pixels])


def calibrated(model: keras.Model, size: int = 192) -> keras.Model:
    """Give a network random weights, and its batch normalisations the statistics of two photographs under them.

    Networks for images of any size are calibrated at ``size`` pixels.
    """
    random = np.random.default_rng(0)
    inside = list(model._flatten_layers(include_self=False))  # includes the layers of wrapped branches
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
            case _:  # the moving statistics are measured below
                continue
        variable.assign(value)
    # Training mode measures the statistics, but dropout would add to the variance between the two photographs.
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
        # The last feature maps are small samples: a floor keeps channels of accidentally low variance from exploding.
        variance = np.asarray(layer.moving_variance)
        layer.moving_variance.assign(variance + 0.03 * np.median(variance))
    for layer, rate in rates.items():
        layer.rate = rate
    *_, head = (layer for layer in model.layers if hasattr(layer, "kernel"))  # a 1x1 convolution in some references
    features = np.reshape(keras.Model(model.input, head.input)(images), (len(images), -1))
    logits = features @ np.reshape(head.kernel, (features.shape[-1], -1))
    head.kernel.assign(head.kernel / np.std(logits))
    return model


@pytest.fixture(scope="session")
def calibrate() -> Callable[..., keras.Model]:
    """Return `calibrated`."""
    return calibrated


def relative_distance(ours: Floats, theirs: Floats) -> float:
    """Return the largest difference of two networks' logits, relative to the distance between two photographs' logits.

    Args:
        ours: Logits of two photographs, of shape (2, classes).
        theirs: The reference's logits of the same photographs. Logits that are saturated, or hardly depend on the
            image, would agree trivially; the assertions refuse them.

    Returns:
        0 for equal logits; 1 for logits that are as far apart as the two photographs are.
    """
    assert ours.shape == theirs.shape
    spread, distance = float(theirs.std()), float((theirs[0] - theirs[1]).std())
    assert 0.3 < spread < 3
    assert distance / spread > 0.05
    assert float(np.asarray(keras.ops.softmax(theirs)).max()) < 0.9
    return float(np.abs(ours - theirs).max()) / distance


def assert_same(ours: Floats, theirs: Floats, tolerance: float) -> None:
    """Check that two networks give the same logits, by `relative_distance`."""
    assert relative_distance(ours, theirs) < tolerance


def share_weights(ours: keras.Model, theirs: keras.Model) -> None:
    """Copy our weights into their network, whose classifier may be a 1x1 convolution."""
    assert [(v.name, _squeezed(v.shape)) for v in theirs.weights] == [
        (v.name, _squeezed(v.shape)) for v in ours.weights
    ]
    for their_variable, our_variable in zip(theirs.weights, ours.weights, strict=True):
        their_variable.assign(np.reshape(our_variable, their_variable.shape))


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[2:] if shape[:2] == (1, 1) else shape
