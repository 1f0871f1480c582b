"""What a network's output means is proven from the graph that leads to it, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import keras_archs
from keras_archs.layers.output_path import classifier, in_graph_of_model, output_activation, pooled_classifier, steps

IMAGES = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32")

Apply = Callable[[Any], Any]


def network(*end: Apply) -> keras.Model:
    """Build a network that applies these layers and operations to an image one after the other."""
    inputs = keras.Input((8, 8, 3))
    x = inputs
    for apply in end:
        x = apply(x)
    return keras.Model(inputs, x)


def pool() -> keras.Layer:
    return layers.GlobalAveragePooling2D()


def nested(*inner: keras.Layer) -> keras.Model:
    return keras.Sequential(inner)


class Doubling(layers.Dense):
    """A dense layer in name only."""

    def call(self, inputs: Any) -> Any:
        return 2 * super().call(inputs)


def test_a_softmax_over_the_classes_makes_the_output_probabilities() -> None:
    ends: list[list[Apply]] = [
        [pool(), layers.Dense(3, activation="softmax")],
        [pool(), layers.Dense(3, activation="softmax"), layers.Activation("linear", dtype="float32")],
        [pool(), layers.Dense(3), layers.Dropout(0.1), layers.Softmax()],
        [pool(), layers.Dense(3, activation=layers.Softmax())],
        [pool(), layers.Dense(3), keras.ops.softmax, lambda x: keras.ops.cast(x, "float32")],
        [pool(), nested(layers.Dense(4, activation="relu"), layers.Dense(3, activation="softmax"))],
        [nested(pool(), nested(layers.Dense(3))), layers.Activation("softmax")],
        [layers.Conv2D(3, 8), layers.Flatten(), keras.activations.softmax],
        [layers.Conv2D(3, 1, activation="softmax"), pool()],
    ]
    for end in ends:
        assert output_activation(network(*end)) == "softmax"


def test_a_sigmoid_makes_the_output_independent_scores() -> None:
    ends: list[list[Apply]] = [
        [pool(), layers.Dense(3, activation="sigmoid")],
        [pool(), layers.Dense(3), keras.ops.sigmoid],
        [pool(), nested(layers.Dense(1, activation=keras.ops.sigmoid)), layers.Identity()],
    ]
    for end in ends:
        assert output_activation(network(*end)) == "sigmoid"


def test_a_layer_without_activation_makes_the_output_logits() -> None:
    ends: list[list[Apply]] = [
        [pool(), layers.Dense(1)],
        [pool(), layers.Dense(3), layers.BatchNormalization()],
        [pool(), nested(layers.Dense(3)), layers.Activation("linear", dtype="float32")],
        [layers.Conv2D(3, 1), lambda x: keras.ops.mean(x, axis=(1, 2))],
        [layers.Conv2D(3, 8), layers.Reshape((3,))],
        [pool(), layers.Dense(3, activation="softmax"), layers.Dense(3)],
    ]
    for end in ends:
        assert output_activation(network(*end)) == "linear"


def test_any_other_end_is_refused_and_named() -> None:
    ends: list[tuple[list[Apply], str]] = [
        ([pool(), layers.Dense(3, activation="relu")], "Dense .* with the activation relu"),
        ([pool(), layers.Dense(3, activation="softmax"), lambda x: 100 * x], "Multiply"),
        ([pool(), layers.Dense(3), lambda x: x / 2], "TrueDivide"),
        ([pool(), layers.Dense(3, activation="softmax"), layers.BatchNormalization()], "BatchNormalization"),
        ([pool(), layers.Dense(3, activation="softmax"), layers.Rescaling(100)], "Rescaling"),
        ([pool(), layers.Dense(3), layers.Lambda(lambda x: x)], "Lambda"),
        ([pool(), layers.Dense(3), layers.Softmax(axis=0)], "Softmax"),
        ([pool(), layers.Dense(3), layers.Activation("log_softmax")], "log_softmax"),
        ([pool(), Doubling(3)], "Doubling"),
        ([layers.Reshape((64, 3)), layers.TimeDistributed(layers.Dense(3)), layers.Flatten()], "Flatten"),
        ([pool()], "is its input"),
    ]
    for end, found in ends:
        with pytest.raises(ValueError, match=found):
            output_activation(network(*end))


def test_several_branches_before_the_output_are_refused() -> None:
    inputs = keras.Input((8, 8, 3))
    votes = [layers.Dense(3, activation="softmax")(pool()(inputs)) for _ in range(2)]
    with pytest.raises(ValueError, match="Average"):
        output_activation(keras.Model(inputs, layers.Average()(votes)))


def test_a_layer_that_is_used_twice_is_traced_at_its_last_use() -> None:
    shared = layers.Dense(3)
    model = network(pool(), shared, layers.Activation("relu"), shared, layers.Softmax())
    assert output_activation(model) == "softmax"
    first, second = [step for step in steps(model) if step.operation is shared]
    assert first.source is not second.source


def test_the_mean_of_the_maps_is_the_logits_of_a_pooled_classifier() -> None:
    ends: list[list[Apply]] = [
        [pool(), layers.Dense(3, activation="softmax")],
        [layers.GlobalAveragePooling2D(keepdims=True), layers.Flatten(), layers.Dropout(0.5), layers.Dense(3)],
        [layers.GlobalAveragePooling2D(keepdims=True), layers.Dense(3), layers.Flatten(), keras.ops.sigmoid],
        [lambda x: keras.ops.mean(x, axis=[1, 2]), layers.Dense(3)],
        [nested(layers.Conv2D(5, 1), pool()), nested(layers.Dropout(0.1), layers.Dense(3)), layers.Softmax()],
    ]
    for end in ends:
        model = network(layers.Conv2D(4, 3), *end)
        found, step = pooled_classifier(model), classifier(model)
        assert found is not None and step is not None
        (logits,) = in_graph_of_model([step.source], step.enclosing)
        features, pooled = keras.Model(model.input, [found.feature_maps, logits])(IMAGES)
        maps = np.asarray(features) @ np.asarray(found.head.kernel)
        expected = np.asarray(pooled).reshape(2, -1) @ np.asarray(found.head.kernel)
        np.testing.assert_allclose(maps.mean(axis=(1, 2)), expected, atol=1e-5)


def test_a_network_whose_maps_are_not_the_logits_has_no_pooled_classifier() -> None:
    ends: list[list[Apply]] = [
        [pool(), lambda x: 10 * x, layers.Dense(3)],
        [pool(), layers.BatchNormalization(), layers.Dense(3)],
        [layers.GlobalMaxPooling2D(), layers.Dense(3)],
        [pool(), layers.Dense(3), layers.BatchNormalization()],
        [pool(), layers.Dense(3, activation="softmax"), layers.Softmax()],
        [pool(), layers.Dense(4, activation="relu"), layers.Dense(3)],
        [pool(), Doubling(3)],
    ]
    for end in ends:
        assert pooled_classifier(network(layers.Conv2D(4, 3), *end)) is None


def test_a_quantized_classifier_has_no_pooled_classifier() -> None:
    model = network(pool(), layers.Dense(3))
    assert pooled_classifier(model) is not None
    model.quantize("int8")
    assert pooled_classifier(model) is None


def test_networks_of_this_package_are_pooled_classifiers() -> None:
    for name, activation in (("MobileNet", "softmax"), ("EfficientNetLite0", "sigmoid"), ("ResNet18", None)):
        model = getattr(keras_archs, name)(classes=3, input_shape=(32, 32, 3), classifier_activation=activation)
        assert output_activation(model) == (activation or "linear")
        assert pooled_classifier(model) is not None
