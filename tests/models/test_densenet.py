"""DenseNet equals the reference implementations at any size, and the paper's networks for CIFAR."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

import keras_archs
from keras_archs.models.densenet import CIFAR, IMAGENET
from tests.support.networks import Floats, assert_same, photographs
from tests.support.numpy_layers import Array, classifier, convolution, normalisation, relu
from tests.support.slow import slow_except

Calibrate = Callable[[keras.Model], keras.Model]


@pytest.mark.parametrize("variant", slow_except(["121"], ["121", "169", "201"]))
def test_parity_with_keras_applications(variant: str, calibrate: Calibrate) -> None:
    """Same weights, same logits; ours is built for any size, theirs for one."""
    name = f"DenseNet{variant}"
    ours = calibrate(getattr(keras_archs, name)(input_shape=(None, None, 3), classifier_activation=None))
    for height, width in [(224, 224), (161, 113)]:
        theirs = getattr(keras.applications, name)(
            weights=None, input_shape=(height, width, 3), classifier_activation=None
        )
        assert [(v.name, v.shape) for v in theirs.weights] == [(v.name, v.shape) for v in ours.weights]
        theirs.set_weights(ours.get_weights())
        images = photographs(height, width)
        assert_same(np.asarray(ours(images)), np.asarray(theirs(images)), tolerance=1e-4)


class PaperDenseNet:
    """Section 3 of the paper for CIFAR in NumPy, with weights in the order of their use."""

    def __init__(self, weights: list[Floats], depth: int, growth: int, bottleneck: bool) -> None:
        self.weights: Iterator[Floats] = iter(weights)
        self.growth, self.bottleneck = growth, bottleneck
        self.layers = (depth - 4) // (6 if bottleneck else 3)

    def logits(self, images: Floats) -> Array:
        x = convolution(images.astype(np.float64), next(self.weights))
        for block in range(3):
            if block:
                x = self.composite(x)
                x = np.mean([x[:, i::2, j::2] for i in (0, 1) for j in (0, 1)], axis=0)
            for _ in range(self.layers):
                new = self.composite(self.composite(x) if self.bottleneck else x)
                assert new.shape[-1] == self.growth
                x = np.concatenate([x, new], axis=-1)
        x = self.normalised(x)
        kernel, bias, *rest = self.weights
        assert not rest
        return classifier(x, kernel, bias)

    def composite(self, x: Array) -> Array:
        return convolution(self.normalised(x), next(self.weights))

    def normalised(self, x: Array) -> Array:
        return relu(normalisation(x, *(next(self.weights) for _ in range(4))))


@pytest.mark.parametrize(
    ("name", "depth", "growth", "bottleneck"),
    [
        ("densenet-40-12", 40, 12, False),
        pytest.param("densenet-bc-100-12", 100, 12, True, marks=pytest.mark.slow),
    ],
)
def test_parity_with_the_paper(name: str, depth: int, growth: int, bottleneck: bool, calibrate: Calibrate) -> None:
    model = keras_archs.create_model(
        name, input_shape=(None, None, 3), classes=100, classifier_activation=None, dropout_rate=0.2
    )
    calibrate(model)
    for shape in ((32, 32), (44, 36)):
        images = photographs(*shape)
        paper = PaperDenseNet(model.get_weights(), depth, growth, bottleneck).logits(images)
        assert_same(np.asarray(model(images)), paper.astype(np.float32), tolerance=1e-4)


@pytest.mark.parametrize(
    ("variant", "stem", "layers", "growth"),
    [("40-12", 16, 12, 12), ("100-24", 16, 32, 24), ("bc-100-12", 24, 16, 12), ("bc-190-40", 80, 31, 40)],
)
def test_depth_is_divided_among_three_blocks(variant: str, stem: int, layers: int, growth: int) -> None:
    plan = CIFAR[variant]
    assert (plan.stem, plan.blocks, plan.growth) == (stem, (layers,) * 3, growth)
    assert plan.compression == (0.5 if plan.bottleneck else 1)


def test_depth_counts_the_layers_with_weights() -> None:
    for variant, plan in IMAGENET.items():
        transitions, stem_and_classifier = 3, 2
        depth = 265 if variant == "264" else int(variant)  # by its table, the paper's DenseNet-264 has 265 layers
        assert 2 * sum(plan.blocks) + transitions + stem_and_classifier == depth


@pytest.mark.parametrize(("name", "convolutions"), [("densenet-40-12", 39), ("densenet-bc-100-12", 99)])
def test_dropout_follows_every_convolution_but_the_first(name: str, convolutions: int) -> None:
    model = keras_archs.create_model(name, dropout_rate=0.2)
    kinds = [type(layer) for layer in model.layers if isinstance(layer, keras.layers.Conv2D | keras.layers.Dropout)]
    assert kinds == [keras.layers.Conv2D] + [keras.layers.Conv2D, keras.layers.Dropout] * (convolutions - 1)
    assert not any(
        isinstance(layer, keras.layers.Dropout) for layer in keras_archs.create_model(name, dropout_rate=0).layers
    )


def test_squeeze_and_excitation_follows_blocks_and_transitions(calibrate: Calibrate) -> None:
    model = keras_archs.DenseNetBC100_12(se_ratio=1 / 16, classes=100, classifier_activation=None)
    reducing = {layer.name: layer.filters for layer in model.layers if layer.name.endswith("_se_reduce")}
    assert reducing == {
        "block1_se_reduce": 216 // 16,
        "transition1_se_reduce": 108 // 16,
        "block2_se_reduce": 300 // 16,
        "transition2_se_reduce": 150 // 16,
        "block3_se_reduce": 342 // 16,
    }
    logits = np.asarray(calibrate(model)(photographs(32, 32)))
    assert np.isfinite(logits).all()
    for none in (None, 0):
        plain = keras_archs.DenseNet40_12(se_ratio=none)
        assert not any("_se_" in layer.name for layer in plain.layers)


def test_initialisation_is_the_published_one() -> None:
    model = keras_archs.DenseNet121()
    stem = np.asarray(model.get_layer("stem_conv").kernel)
    assert stem.std() == pytest.approx(np.sqrt(2 / (49 * 64)), rel=0.03)
    assert np.abs(stem).max() > 3 * stem.std()  # a truncated normal has no values beyond 2
    dense = np.asarray(model.get_layer("predictions").kernel)
    assert np.abs(dense).max() == pytest.approx(1 / np.sqrt(1024), rel=0.01)


def test_without_classifier() -> None:
    assert keras_archs.DenseNet121(include_top=False).output_shape == (None, None, None, 1024)
    assert keras_archs.DenseNetBC100_12(include_top=False, pooling="avg").output_shape == (None, 342)
    features = keras_archs.DenseNet40_12(include_top=False, input_shape=(32, 48, 1))
    assert features.output_shape == (None, 8, 12, 448)


def test_signature_and_help() -> None:
    shared = ("include_top", "weights", "input_tensor", "input_shape", "pooling", "classes", "classifier_activation")
    for builder, classes in ((keras_archs.DenseNet121, 1000), (keras_archs.DenseNetBC100_12, 10)):
        parameters = inspect.signature(builder).parameters
        assert list(parameters) == [*shared, "name", "prefix", "dropout_rate", "se_ratio", "memory_efficient"]
        assert (parameters["classes"].default, parameters["dropout_rate"].default) == (classes, 0.0)
    for variant, plan in IMAGENET.items():
        documentation = inspect.getdoc(getattr(keras_archs, f"DenseNet{variant}")) or ""
        assert documentation.startswith(f"DenseNet-{variant} for images of 224 pixels: growth rate {plan.growth}")


@pytest.mark.parametrize(
    ("arguments", "received", "allowed"),
    [
        ({"input_shape": (3, 32, 3)}, "(3, 32, 3)", "at least 4"),
        ({"dropout_rate": 1.0}, "dropout_rate=1.0", "less than 1"),
        ({"dropout_rate": "0.2"}, "dropout_rate='0.2'", "at least 0"),
        ({"se_ratio": -0.25}, "se_ratio=-0.25", "positive"),
        ({"weights": "imgenet"}, "DenseNet40_12", "the path of a .keras or .weights.h5 file"),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(arguments: dict[str, Any], received: str, allowed: str) -> None:
    with pytest.raises(ValueError) as error:
        keras_archs.DenseNet40_12(**arguments)
    assert received in str(error.value)
    assert allowed in str(error.value)
