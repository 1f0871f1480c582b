"""The residual networks for CIFAR compute what their papers say: ResNet, Wide ResNet and ResNeXt."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless
from keras_archs.models.resnet import residual_network
from keras_archs.models.resnet_cifar import RESNET_CIFAR
from tests.support.networks import Floats, assert_same, photographs
from tests.support.numpy_layers import Array, classifier, convolution, normalisation, relu
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]

# A network of each kind of block.
KINDS = ["resnet-20", "wide-resnet-16-4", "resnext-29-8x64d"]


class Paper(ABC):
    """Common part of the papers' networks in NumPy; uses each of a model's weights once."""

    def __init__(self, model: keras.Model) -> None:
        self.weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}

    def logits(self, images: Floats) -> Floats:
        x = self.features(images.astype(np.float64))
        logits = classifier(x, *self.weights.pop("predictions"))
        assert not self.weights
        return logits.astype(np.float32)

    @abstractmethod
    def features(self, images: Array) -> Array:
        """The last feature map."""

    def conv(self, x: Array, name: str, stride: int = 1) -> Array:
        (kernel,) = self.weights.pop(name)
        return convolution(x, kernel, stride)

    def bn(self, x: Array, name: str) -> Array:
        return normalisation(x, *self.weights.pop(f"{name}_bn"))

    def conv_bn(self, x: Array, name: str, stride: int = 1) -> Array:
        return self.bn(self.conv(x, name, stride), name)


class PaperResNet20(Paper):
    """He et al. 2015, section 4.2, with n = 3."""

    def features(self, images: Array) -> Array:
        x = relu(self.conv_bn(images, "stem_conv"))
        for stage in (1, 2, 3):
            for block in (1, 2, 3):
                name, halves = f"stage{stage}_block{block}", stage > 1 and block == 1
                branch = relu(self.conv_bn(x, f"{name}_conv1", stride=2 if halves else 1))
                branch = self.conv_bn(branch, f"{name}_conv2")
                if halves:
                    x = np.concatenate([x[:, ::2, ::2], np.zeros_like(x[:, ::2, ::2])], axis=-1)
                x = relu(x + branch)
        return x


class PaperResNeXt29(Paper):
    """Xie et al. 2016, section 5.3, with the blocks of figure 3(c)."""

    def features(self, images: Array) -> Array:
        x = relu(self.conv_bn(images, "stem_conv"))
        for stage in (1, 2, 3):
            for block in (1, 2, 3):
                name, stride = f"stage{stage}_block{block}", 2 if stage > 1 and block == 1 else 1
                branch = relu(self.conv_bn(x, f"{name}_conv1"))
                branch = relu(self.conv_bn(branch, f"{name}_conv2", stride))
                branch = self.conv_bn(branch, f"{name}_conv3")
                x = relu((self.conv_bn(x, f"{name}_shortcut", stride) if block == 1 else x) + branch)
        return x


class PaperWideResNet16(Paper):
    """Zagoruyko & Komodakis 2016, Table 1 with N = 2, and the projection of the authors' code."""

    def features(self, images: Array) -> Array:
        x = self.conv(images, "stem_conv")
        for stage in (1, 2, 3):
            for block in (1, 2):
                name, stride = f"stage{stage}_block{block}", 2 if stage > 1 and block == 1 else 1
                active = relu(self.bn(x, f"{name}_conv1"))
                branch = relu(self.bn(self.conv(active, f"{name}_conv1", stride), f"{name}_conv2"))
                branch = self.conv(branch, f"{name}_conv2")
                x = (self.conv(active, f"{name}_shortcut", stride) if block == 1 else x) + branch
        return relu(self.bn(x, "top"))


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("resnet-20", PaperResNet20),
        ("wide-resnet-16-4", PaperWideResNet16),
        pytest.param("resnext-29-8x64d", PaperResNeXt29, marks=pytest.mark.slow),
    ],
)
def test_parity_with_the_paper(name: str, paper: type[Paper], calibrate: Calibrate) -> None:
    model = calibrate(keras_archs.create_model(name, classes=100, classifier_activation=None))
    for shape in ((32, 32), (25, 19)):
        resized = keras_archs.create_model(name, input_shape=(*shape, 3), classes=100, classifier_activation=None)
        resized.set_weights(model.get_weights())
        images = photographs(*shape)
        assert_same(np.asarray(resized(images)), paper(resized).logits(images), tolerance=1e-4)


@pytest.mark.parametrize("name", slow_except(["resnet-20", "wide-resnet-16-4"], KINDS))
def test_a_network_for_any_size_equals_one_for_this_size(name: str, calibrate: Calibrate) -> None:
    options: dict[str, Any] = {"classes": 100, "classifier_activation": None}
    native = calibrate(keras_archs.create_model(name, **options))
    anything = keras_archs.create_model(name, input_shape=(None, None, 3), **options)
    anything.set_weights(native.get_weights())
    for shape in ((32, 32), (33, 47)):
        fixed = keras_archs.create_model(name, input_shape=(*shape, 3), **options)
        fixed.set_weights(native.get_weights())
        images = photographs(*shape)
        assert_same(np.asarray(anything(images)), np.asarray(fixed(images)), tolerance=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_images_of_four_pixels_a_side_are_the_smallest(name: str) -> None:
    model = keras_archs.create_model(name, input_shape=(4, 8, 1))
    assert model.get_layer("avg_pool").input.shape[1:3] == (1, 2)
    assert model(np.zeros((1, 4, 8, 1), np.float32)).shape == (1, 10)
    for shape in ((3, 8, 3), (8, 3, 3)):
        with pytest.raises(ValueError, match=r"at least 4 .* got \(\d, \d, 3\)"):
            keras_archs.create_model(name, input_shape=shape)


def test_a_hundred_classes_are_5850_parameters_more() -> None:
    with weightless():
        ten, hundred = keras_archs.ResNet20(), keras_archs.ResNet20(classes=100)
    assert hundred.count_params() - ten.count_params() == 5850


@pytest.mark.parametrize(("depth", "blocks"), [("20", 3), ("56", 9), ("110", 18), ("1202", 200)])
def test_depth_counts_the_layers_with_weights(depth: str, blocks: int) -> None:
    assert RESNET_CIFAR[depth].repeats == (blocks,) * 3
    assert 2 * 3 * blocks + 2 == int(depth)


def shortcut(model: keras.Model, x: Floats) -> Floats:
    """Apply the first shortcut that halves the image to ``x``, the last feature map of the first stage."""
    start = model.get_layer("stage1_block3_relu").output
    stop = model.get_layer("stage2_block1_shortcut_pad").output
    return np.asarray(keras.Model(start, stop)(x))


def test_option_a_takes_every_second_pixel_and_has_no_parameters() -> None:
    model = keras_archs.ResNet20(input_shape=(None, None, 3))
    assert not [layer.name for layer in model.layers if "shortcut" in layer.name and layer.weights]
    for height, width in ((8, 6), (7, 5)):
        x = np.random.default_rng(0).normal(size=(2, height, width, 16)).astype(np.float32)
        result = shortcut(model, x)
        np.testing.assert_array_equal(result[..., :16], x[:, ::2, ::2])
        assert result.shape[-1] == 32
        assert not result[..., 16:].any()


def test_the_shortcut_of_a_plan_may_average_windows() -> None:
    """As in the authors' code of stochastic depth."""
    plan = replace(RESNET_CIFAR["20"], shortcut_window=2)
    options = {key: parameter.default for key, parameter in signature(keras_archs.ResNet20).parameters.items()}
    model = residual_network(plan, **options)
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 16)).astype(np.float32)
    result = shortcut(model, x)
    np.testing.assert_allclose(result[..., :16], x.reshape(2, 16, 2, 16, 2, 16).mean(axis=(2, 4)), atol=1e-6)
    assert not result[..., 16:].any()
    assert model.count_params() == keras_archs.ResNet20().count_params()


@pytest.mark.slow
def test_another_model_can_be_made_of_a_graph_of_six_hundred_blocks() -> None:
    """Keras recurses through a graph, two calls to a block."""
    with weightless():
        model = keras_archs.ResNet1202()
        features = keras.Model(model.input, model.get_layer("stage3_block200_relu").output)
    assert features.output_shape == (None, 8, 8, 64)


def test_a_wide_network_has_dropout_between_the_convolutions_of_a_block() -> None:
    model = keras_archs.WideResNet16_4(dropout_rate=0.3)
    dropouts = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert [layer.name for layer in dropouts] == [f"stage{s}_block{b}_dropout" for s in (1, 2, 3) for b in (1, 2)]
    for layer in dropouts:
        block = layer.name.removesuffix("_dropout")
        assert (layer.rate, layer.noise_shape) == (0.3, None)
        assert layer.input is model.get_layer(f"{block}_conv2_relu").output
        assert model.get_layer(f"{block}_conv2").input is layer.output
    assert not any(isinstance(layer, keras.layers.Dropout) for layer in keras_archs.WideResNet16_4().layers)


def test_a_wide_network_of_any_depth_and_width() -> None:
    model = keras_archs.WideResNet(depth=10, widen_factor=1)
    assert [model.get_layer(f"stage{stage}_block1_conv2").filters for stage in (1, 2, 3)] == [16, 32, 64]
    projections = [layer.name for layer in model.layers if layer.name.endswith("_shortcut")]
    assert projections == ["stage2_block1_shortcut", "stage3_block1_shortcut"]  # the first stage changes no shape
    with weightless():
        general, named = keras_archs.WideResNet(), keras_archs.WideResNet28_10()
    assert [(v.path, v.shape) for v in general.weights] == [(v.path, v.shape) for v in named.weights]


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize(("name", "blocks"), [("resnet-20", 3), ("wide-resnet-16-4", 2), ("resnext-29-8x64d", 3)])
def test_every_block_may_be_dropped_and_the_last_most_often(name: str, blocks: int, per: str) -> None:
    model = keras_archs.create_model(name, drop_path_rate=0.5, drop_path_per=per)
    survival = keras_archs.survival_probabilities(model)
    assert list(survival) == [f"stage{stage}_block{block}" for stage in (1, 2, 3) for block in range(1, blocks + 1)]
    assert list(survival.values()) == pytest.approx(1 - np.arange(1, 3 * blocks + 1) / (6 * blocks))


@pytest.mark.parametrize(("name", "filters"), [("resnet-20", 16), ("wide-resnet-16-4", 64), ("resnext-29-8x64d", 256)])
def test_squeeze_and_excitation_weighs_the_branch_before_the_addition(name: str, filters: int) -> None:
    model = keras_archs.create_model(name, se_ratio=1 / 8)
    assert model.get_layer("stage1_block1_se_reduce").filters == filters // 8
    _, branch = model.get_layer("stage1_block1_add").input
    drop = model.get_layer("stage1_block1_drop")
    assert branch is drop.output
    assert drop.input is model.get_layer("stage1_block1_se_excite").output


@pytest.mark.parametrize(
    ("name", "end"), [("resnet-20", "relu"), ("wide-resnet-16-4", "add"), ("resnext-29-8x64d", "relu")]
)
def test_a_block_whose_branch_ends_in_zeros_starts_as_the_identity(name: str, end: str) -> None:
    for zeros in (True, False):
        model = keras_archs.create_model(name, zero_init_residual=zeros)
        features = keras.Model(model.input, [model.get_layer(f"stage1_block{block}_{end}").output for block in (1, 2)])
        first, second = (np.asarray(x) for x in features(photographs(32, 32)))
        assert np.array_equal(first, second) == zeros


def test_initialisation_is_the_published_one() -> None:
    model = keras_archs.WideResNet28_10()
    for name, fan_out in (("stage3_block1_conv1", 9 * 640), ("stage3_block1_shortcut", 640)):
        kernel = np.asarray(model.get_layer(name).kernel)
        assert kernel.std() == pytest.approx(np.sqrt(2 / fan_out), rel=0.02)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            assert (layer.momentum, layer.epsilon) == (0.9, 1e-5)
        if isinstance(layer, keras.layers.Conv2D):
            assert not layer.use_bias


def test_without_classifier() -> None:
    assert keras_archs.ResNet20(include_top=False).output_shape == (None, None, None, 64)
    assert keras_archs.WideResNet16_4(include_top=False, pooling="avg").output_shape == (None, 256)
    features = keras_archs.ResNeXt29_8x64d(include_top=False, input_shape=(32, 48, 1))
    assert features.output_shape == (None, 8, 12, 1024)


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"depth": 20}, "depth=20", "6n + 4"),
        ({"depth": 4}, "depth=4", "10, 16, 22, 28"),
        ({"depth": 28.0}, "depth=28.0", "6n + 4"),
        ({"widen_factor": 0}, "widen_factor=0", "at least 1"),
        ({"widen_factor": 0.5}, "widen_factor=0.5", "an integer"),
        ({"dropout_rate": 1}, "dropout_rate=1", "less than 1"),
        ({"drop_path_rate": -0.1}, "drop_path_rate=-0.1", "at least 0"),
        ({"weights": "imgenet"}, "WideResNet", "the path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.WideResNet(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)


@pytest.mark.parametrize("builder", ["WideResNet28_10", "ResNet56"])
def test_a_named_network_takes_no_other_depth(builder: str) -> None:
    with pytest.raises(TypeError, match=r"got unknown arguments \['depth'\]"):
        getattr(keras_archs, builder)(depth=40)
