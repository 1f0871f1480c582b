"""BN-Inception equals the Caffe models at the sizes that those accept, and works at any other size."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.models.inception import MODULES, Module
from tests.support.networks import Floats, assert_same, photographs
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]
Array = NDArray[np.float64]

# By the authors' SE-BN-Inception.prototxt: channels of each module, and of its squeeze-and-excitation bottleneck.
RETURNED = {
    "3a": (256, 16),
    "3b": (320, 20),
    "3c": (576, 36),
    "4a": (576, 36),
    "4b": (576, 36),
    "4c": (608, 38),
    "4d": (608, 38),
    "4e": (1056, 66),
    "5a": (1024, 64),
    "5b": (1024, 64),
}


class CaffeInception:
    """The Caffe model in NumPy, with weights by the name of the layer, in float64."""

    def __init__(self, model: keras.Model) -> None:
        self.weights = {layer.name: [np.asarray(w, np.float64) for w in layer.get_weights()] for layer in model.layers}

    def logits(self, images: Floats) -> Array:
        x = self.convolution(images.astype(np.float64), "stem1", stride=2)
        x = pooled(x, np.max, stride=2)
        x = self.convolution(self.convolution(x, "stem2_reduce"), "stem2")
        x = pooled(x, np.max, stride=2)
        for row, module in MODULES.items():
            x = self.module(x, module, f"inception{row}")
        kernel, bias = self.weights["predictions"]
        return np.asarray(x.mean(axis=(1, 2)) @ kernel + bias)

    def module(self, x: Array, module: Module, name: str) -> Array:
        branches = [self.convolution(x, f"{name}_pointwise")] if module.pointwise else []
        single = self.convolution(x, f"{name}_single_reduce")
        branches.append(self.convolution(single, f"{name}_single", module.stride))
        double = self.convolution(self.convolution(x, f"{name}_double_reduce"), f"{name}_double1")
        branches.append(self.convolution(double, f"{name}_double2", module.stride))
        if module.stride == 2:
            branches.append(pooled(x, np.max, stride=2))
        else:
            bordered = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])  # Caffe's average counts the zeros
            part = pooled(bordered, np.max if module.pool == "max" else np.mean, stride=1)
            branches.append(self.convolution(part, f"{name}_projection"))
        x = np.concatenate(branches, axis=-1)
        return self.excited(x, f"{name}_se") if f"{name}_se_reduce" in self.weights else x

    def excited(self, x: Array, name: str) -> Array:
        (down, down_bias), (up, up_bias) = self.weights[f"{name}_reduce"], self.weights[f"{name}_expand"]
        hidden = np.maximum(x.mean(axis=(1, 2)) @ down[0, 0] + down_bias, 0)
        gate = 1 / (1 + np.exp(-(hidden @ up[0, 0] + up_bias)))
        return np.asarray(x * gate[:, None, None])

    def convolution(self, x: Array, name: str, stride: int = 1) -> Array:
        kernel, *bias = self.weights[f"{name}_conv"]
        border = len(kernel) // 2
        x = np.pad(x, [(0, 0), (border, border), (border, border), (0, 0)])
        x = sum(window @ kernel[i, j] for (i, j), window in windows(x, len(kernel), stride)) + sum(bias)
        gamma, beta, mean, variance = self.weights[f"{name}_bn"]
        return np.asarray(np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0))


def windows(x: Array, size: int, stride: int) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yield each position in a window with the pixels at that position in all complete windows."""
    height, width = ((n - size) // stride + 1 for n in x.shape[1:3])
    for i in range(size):
        for j in range(size):
            yield (i, j), x[:, i : i + stride * height : stride, j : j + stride * width : stride]


def pooled(x: Array, combine: Callable[..., Array], stride: int) -> Array:
    """Pooling by 3x3, where the last window may be cut off by the border (Caffe's and Torch's "ceil mode")."""
    rest = [(0, 0), *((0, -(n - 3) % stride) for n in x.shape[1:3]), (0, 0)]
    x = np.pad(x, rest, constant_values=-np.inf if any(after for _, after in rest) else 0)
    return combine([window for _, window in windows(x, 3, stride)], axis=0)


@pytest.mark.parametrize("name", slow_except(["bn-inception"], ["bn-inception", "se-bn-inception"]))
def test_parity_with_the_caffe_model(name: str, calibrate: Calibrate) -> None:
    model = calibrate(keras_archs.create_model(name, input_shape=(None, None, 3), classifier_activation=None))
    for shape in ((96, 96), (161, 97)):
        images = photographs(*shape)
        caffe = CaffeInception(model).logits(images)
        assert_same(np.asarray(model(images)), caffe.astype(np.float32), tolerance=1e-4)


@pytest.mark.slow
def test_a_network_for_any_size_equals_one_for_this_size(calibrate: Calibrate) -> None:
    """Also for sizes such as 113, at which Caffe's branches have different sizes."""
    options: dict[str, Any] = {"classes": 100, "classifier_activation": None}
    anything = calibrate(keras_archs.BNInception(input_shape=(None, None, 3), **options))
    for shape in ((224, 224), (113, 161), (33, 224)):
        fixed = keras_archs.BNInception(input_shape=(*shape, 3), **options)
        fixed.set_weights(anything.get_weights())
        images = photographs(*shape)
        assert_same(np.asarray(anything(images)), np.asarray(fixed(images)), tolerance=1e-5)


def test_modules_have_the_channels_of_the_caffe_model() -> None:
    model = keras_archs.SEBNInception(input_shape=(None, None, 3))
    for row, (channels, hidden) in RETURNED.items():
        assert model.get_layer(f"inception{row}_concat").output.shape[-1] == channels
        assert model.get_layer(f"inception{row}_se_reduce").filters == hidden


def test_the_two_networks_differ_in_biases_and_squeeze_and_excitation_only() -> None:
    counts = {name: keras_archs.model_card(name).cost.trainable for name in ("bn-inception", "se-bn-inception")}
    excitation = sum(2 * channels * hidden + channels + hidden for channels, hidden in RETURNED.values())
    with weightless():  # counting needs no values
        biases = keras_archs.BNInception().count_params() - keras_archs.BNInception(use_bias=False).count_params()
        names = {layer.name for layer in keras_archs.SEBNInception(se_ratio=None).layers}
        assert names == {layer.name for layer in keras_archs.BNInception().layers}
    assert counts["se-bn-inception"] == counts["bn-inception"] - biases + excitation
    # A bias for each normalised channel, which has two moving statistics.
    assert biases == keras_archs.model_card("bn-inception").cost.non_trainable // 2


def test_without_classifier() -> None:
    assert keras_archs.BNInception(include_top=False).output_shape == (None, None, None, 1024)
    assert keras_archs.SEBNInception(include_top=False, pooling="avg").output_shape == (None, 1024)
    assert keras_archs.BNInception(include_top=False, input_shape=(32, 64, 1)).output_shape == (None, 1, 2, 1024)


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"use_bias": None}, "use_bias=None", "True or False"),
        ({"se_ratio": -0.5}, "se_ratio=-0.5", "positive"),
        ({"input_shape": (31, 64, 3)}, "(31, 64, 3)", "at least 32"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.BNInception(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)
