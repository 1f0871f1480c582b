"""Explanations of networks with any ending: the answer that the definition gives, or a refusal."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import keras
import numpy as np
import pytest
from keras import layers
from numpy.typing import NDArray

from keras_archs import class_activation_map, grad_cam
from keras_archs.analysis import explanations
from keras_archs.layers.output_path import PooledClassifier, pooled_classifier

Tensor: TypeAlias = keras.KerasTensor
Ending: TypeAlias = Callable[[Tensor], Tensor]
Floats: TypeAlias = NDArray[np.float32]

CLASSES, PLACES = 3, 8 * 8
IMAGES = np.random.default_rng(0).normal(size=(CLASSES, 16, 16, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    keras.utils.set_random_seed(1)


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def trunk(images: Tensor) -> Tensor:
    x = layers.Conv2D(4, 3, strides=2, activation="relu", padding="same", name="first")(images)
    return layers.Conv2D(5, 3, activation="relu", padding="same", name="last")(x)


def network(ending: Ending) -> keras.Model:
    images = keras.Input((16, 16, 3))
    model = keras.Model(images, ending(trunk(images)), name="network")
    for variable in model.weights:
        if variable.name == "bias":
            variable.assign(np.linspace(-0.5, 0.5, variable.shape[0]))
    return model


def pool(x: Tensor, **options: bool) -> Tensor:
    return layers.GlobalAveragePooling2D(**options)(x)


def dense(x: Tensor, activation: str | None = None, use_bias: bool = True) -> Tensor:
    return layers.Dense(CLASSES, activation=activation, use_bias=use_bias)(x)


def head_inside(x: Tensor) -> Tensor:
    inside = keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(CLASSES, activation="softmax")])
    return inside(x)


def all_inside(x: Tensor) -> Tensor:
    """Return the output of a model with a trunk of its own, which has two models inside."""
    features = keras.Input(x.shape[1:])
    sharpened = layers.Conv2D(6, 1, activation="relu", name="inner")
    base = keras.Sequential([features, layers.Rescaling(2.0), sharpened], name="base")
    return keras.Model(features, head_inside(base(features)))(x)


AVERAGED: dict[str, Ending] = {
    "logits": lambda x: dense(pool(x)),
    "softmax": lambda x: dense(pool(x), "softmax"),
    "sigmoid": lambda x: dense(pool(x), "sigmoid"),
    "softmax layer": lambda x: layers.Softmax()(dense(pool(x))),
    "softmax operation": lambda x: keras.ops.softmax(dense(pool(x))),
    "linear activation behind": lambda x: layers.Activation("linear")(dense(pool(x), "softmax")),
    "no bias": lambda x: dense(pool(x), "softmax", use_bias=False),
    "dropout": lambda x: dense(layers.Dropout(0.5)(pool(x)), "softmax"),
    "flattened means": lambda x: dense(layers.Flatten()(pool(x, keepdims=True))),
    "mean operation": lambda x: dense(keras.ops.mean(x, axis=(1, 2))),
    "head inside": head_inside,
    "all inside": all_inside,
}


FUNCTIONS: tuple[Callable[[Floats], Any], ...] = (
    np.asarray,
    lambda logits: 1 / (1 + np.exp(-logits)),
    lambda logits: np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True),
)
"""What may turn logits into the output of a network: nothing, a sigmoid or a softmax."""


@pytest.mark.parametrize("ending", AVERAGED.values(), ids=AVERAGED)
def test_maps_add_up_to_the_logits_and_grad_cam_agrees(ending: Ending) -> None:
    model = network(ending)
    found = pooled_classifier(model)
    assert found is not None
    image = IMAGES[[0, 0, 0]]
    maps, _ = class_activation_map(model, image, [0, 1, 2])
    logits = maps.mean(axis=(1, 2)) + (0 if found.head.bias is None else np.asarray(found.head.bias))
    output = np.asarray(model(image))[0]
    assert any(np.allclose(function(logits), output, rtol=1e-4, atol=1e-5) for function in FUNCTIONS)
    approximate, _ = grad_cam(model, image, [0, 1, 2])
    np.testing.assert_allclose(approximate * PLACES, np.maximum(maps, 0), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(class_activation_map(model, IMAGES)[1], grad_cam(model, IMAGES)[1])


NOT_AVERAGED: dict[str, Ending] = {
    "scaled means": lambda x: dense(pool(x) * 10),
    "maxima": lambda x: dense(layers.GlobalMaxPooling2D()(x)),
    "normalised means": lambda x: dense(layers.BatchNormalization()(pool(x))),
    "means and maxima": lambda x: dense(layers.Concatenate()([pool(x), layers.GlobalMaxPooling2D()(x)])),
    "means of two maps": lambda x: dense(layers.Average()([pool(x), pool(2 * x)])),
    "activated means": lambda x: dense(layers.ReLU()(pool(x) - 0.01)),
    "two dense layers": lambda x: dense(layers.Dense(7, activation="relu")(pool(x)), "softmax"),
    "flattened maps": lambda x: dense(layers.Flatten()(x), "softmax"),
    "scaled logits": lambda x: layers.Softmax()(dense(pool(x)) / 2),
    "means of one axis": lambda x: dense(layers.Flatten()(keras.ops.mean(x, axis=1))),
    "class maps": lambda x: layers.Softmax()(pool(layers.Conv2D(CLASSES, 1)(x))),
    "convolution": lambda x: layers.Flatten()(layers.Conv2D(CLASSES, 1, activation="softmax")(pool(x, keepdims=True))),
}


@pytest.mark.parametrize("ending", NOT_AVERAGED.values(), ids=NOT_AVERAGED)
def test_maps_that_would_not_add_up_are_refused_and_grad_cam_answers(ending: Ending) -> None:
    model = network(ending)
    with pytest.raises(ValueError, match=r"'network' does not end in global average pooling and a dense layer"):
        class_activation_map(model, IMAGES)
    maps, _ = grad_cam(model, IMAGES, [0, 1, 2])
    assert maps.shape == (CLASSES, 8, 8)
    assert (maps >= 0).all()
    assert maps.any()


def test_grad_cam_explains_the_logits_in_front_of_the_last_softmax() -> None:
    plain, _ = grad_cam(network(AVERAGED["softmax"]), IMAGES, [0, 1, 2])
    keras.utils.set_random_seed(1)
    halved, _ = grad_cam(network(NOT_AVERAGED["scaled logits"]), IMAGES, [0, 1, 2])
    np.testing.assert_allclose(2 * halved, plain, rtol=1e-4, atol=1e-6)


def test_grad_cam_of_maps_of_the_classes_is_the_map_of_the_class() -> None:
    model = network(NOT_AVERAGED["class maps"])
    class_maps = np.asarray(keras.Model(model.inputs[0], model.layers[-3].output)(IMAGES))
    for index in range(CLASSES):
        maps, _ = grad_cam(model, IMAGES, [index] * len(IMAGES))
        np.testing.assert_allclose(maps * PLACES, np.maximum(class_maps[..., index], 0), rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("mixed_precision")
def test_networks_of_mixed_precision_are_explained() -> None:
    for ending in (
        lambda x: layers.Activation("softmax", dtype="float32")(dense(pool(x))),
        lambda x: layers.Dense(CLASSES, activation="softmax", dtype="float32")(pool(x)),
    ):
        model = network(ending)
        exact, _ = class_activation_map(model, IMAGES, [0, 1, 2])
        approximate, _ = grad_cam(model, IMAGES, [0, 1, 2])
        assert exact.dtype == approximate.dtype == np.float32
        np.testing.assert_allclose(approximate * PLACES, np.maximum(exact, 0), rtol=0.05, atol=0.02)


REFUSED: dict[str, tuple[Ending, str]] = {
    "lambda": (lambda x: layers.Lambda(lambda y: 2 * y)(dense(pool(x))), "Lambda 'lambda"),
    "two softmaxes": (lambda x: layers.Softmax()(dense(pool(x), "softmax")), "does not compute the logits"),
    "mean of softmaxes": (lambda x: pool(layers.Softmax()(layers.Conv2D(CLASSES, 1)(x))), "one logit per class"),
    "two inputs": (lambda x: layers.Add()([dense(pool(x)), dense(pool(x))]), "Add 'add"),
}


@pytest.mark.parametrize(("ending", "complaint"), REFUSED.values(), ids=REFUSED)
def test_grad_cam_refuses_an_ending_whose_logits_it_would_have_to_guess(ending: Ending, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        grad_cam(network(ending), IMAGES)


def test_a_kernel_that_is_quantised_is_not_taken_for_the_weights() -> None:
    model = network(AVERAGED["softmax"])
    model.quantize("int8")
    for explain in (class_activation_map, grad_cam):
        with pytest.raises(ValueError, match="'network' does not"):
            explain(model, IMAGES)


def test_grad_cam_does_not_take_the_image_for_feature_maps() -> None:
    endings: list[Ending] = [lambda x: dense(layers.Flatten()(x)), lambda x: dense(pool(x))]
    for ending in endings:
        images = keras.Input((16, 16, 3), name="image")
        model = keras.Model(images, ending(images), name="network")
        for layer in (None, "image"):
            with pytest.raises(ValueError, match="'network' has no layer with feature maps"):
                grad_cam(model, IMAGES, layer=layer)


class Subclassed(keras.Model):
    def call(self, images: Tensor) -> Tensor:
        return images


def test_models_without_one_image_and_one_output_are_refused() -> None:
    images, more = keras.Input((16, 16, 3)), keras.Input((16, 16, 3))
    features = pool(trunk(images))
    for model in (
        Subclassed(),
        keras.Model(images, [dense(features), dense(features)]),
        keras.Model([images, more], dense(pool(images + more))),
    ):
        for explain in (class_activation_map, grad_cam):
            with pytest.raises(ValueError, match="functional and sequential models with one input and one output"):
                explain(model, IMAGES)


def test_a_layer_of_a_model_inside_is_found_by_its_name() -> None:
    model = network(all_inside)
    maps, _ = grad_cam(model, IMAGES, layer="inner")
    np.testing.assert_array_equal(maps, grad_cam(model, IMAGES)[0])
    assert grad_cam(model, IMAGES, layer="first")[0].shape == (CLASSES, 8, 8)
    with pytest.raises(ValueError, match="no layer 'base' with feature maps; the last is 'inner'"):
        grad_cam(model, IMAGES, layer="base")


def test_a_layer_behind_which_the_logits_do_not_lie_is_refused() -> None:
    def ending(x: Tensor) -> Tensor:
        cut = keras.ops.stop_gradient(layers.Conv2D(4, 1, name="cut")(x))
        return dense(layers.Concatenate()([pool(x), pool(cut)]))

    with pytest.raises(ValueError, match="do not depend on the feature maps of layer 'cut'"):
        grad_cam(network(ending), IMAGES, layer="cut")


def test_explaining_a_network_changes_nothing_of_it() -> None:
    model = network(all_inside)
    before, config = np.asarray(model(IMAGES)), model.to_json()
    grad_cam(model, IMAGES)
    calls = [len(layer._inbound_nodes) for layer in model._flatten_layers()]
    for _ in range(3):
        grad_cam(model, IMAGES)
    assert [len(layer._inbound_nodes) for layer in model._flatten_layers()] == calls
    assert model.to_json() == config
    np.testing.assert_array_equal(model(IMAGES), before)


def test_maps_are_compared_with_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard in case that the path from the feature maps to the output is read wrongly."""
    model = network(NOT_AVERAGED["scaled means"])
    found = PooledClassifier(model.get_layer("last").output, model.layers[-1])
    monkeypatch.setattr(explanations, "pooled_classifier", lambda _: found)
    with pytest.raises(ValueError, match="the feature maps of 'network' do not add up to its output"):
        class_activation_map(model, IMAGES)
