"""Computed receptive fields equal the pixels at which the gradient of a feature is not zero."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_archs
from keras_archs.analysis.weightless import weightless


def by_gradient(model: keras.Model, size: int) -> tuple[int, int]:
    """Height and width of the pixels on which the central feature depends, by its gradient."""
    image = tf.Variable(tf.zeros((1, size, size, 1)))
    with tf.GradientTape() as tape:
        features = model(image)
        middle = features.shape[1] // 2
        feature = tf.reduce_sum(features[0, middle, middle])
    depends = np.abs(np.asarray(tape.gradient(feature, image)))[0, :, :, 0] > 0
    rows, columns = np.flatnonzero(depends.any(axis=1)), np.flatnonzero(depends.any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def linear(*stack: keras.Layer, size: int = 61) -> keras.Model:
    """A stack with all weights at 1, so that no two paths to a pixel cancel."""
    model = keras.Sequential([keras.Input((size, size, 1)), *stack])
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    return model


@pytest.mark.parametrize(
    "stack",
    [
        (layers.Conv2D(1, 3, padding="same"), layers.Conv2D(1, (5, 1), padding="same")),
        (layers.Conv2D(1, 7, strides=2), layers.Conv2D(1, 3, strides=2), layers.Conv2D(1, 3)),
        (layers.Conv2D(1, 3, dilation_rate=2), layers.DepthwiseConv2D(3), layers.Activation("linear")),
        (layers.AveragePooling2D(3, 2), layers.SeparableConv2D(2, 3), layers.ZeroPadding2D(1), layers.Conv2D(1, 2)),
    ],
    ids=["windows", "strides", "dilation", "pooling"],
)
def test_receptive_field_of_a_stack(stack: tuple[keras.Layer, ...]) -> None:
    model = linear(*stack)
    assert keras_archs.profile(model).layers[-1].receptive_field == by_gradient(model, 61)


def test_a_sum_of_branches_has_the_largest_receptive_field_of_them() -> None:
    images = keras.Input((31, 31, 1))
    narrow, wide = layers.Conv2D(1, 3, padding="same")(images), layers.Conv2D(1, 9, padding="same")(images)
    model = keras.Model(images, layers.Add()([narrow, wide]))
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    assert keras_archs.profile(model).layers[-1].receptive_field == by_gradient(model, 31) == (9, 9)


def test_receptive_fields_of_published_networks() -> None:
    """Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks" (2019), give 483 for ResNet v1."""
    for arguments, expected in (({}, 427), ({"stride_in_1x1": True}, 483)):
        with weightless():
            cost = keras_archs.profile(keras_archs.create_model("resnet-50", **arguments))
        fields = {layer.name: layer.receptive_field for layer in cost.layers}
        assert fields["stage4_block3_relu"] == (expected, expected)
        assert fields["avg_pool"] is fields["predictions"] is None


def test_squeeze_excitation_gates_are_ignored_and_droppable_branches_are_not() -> None:
    with weightless():
        costs = [
            keras_archs.profile(keras_archs.create_model(name))
            for name in ("resnet-50", "se-resnet-50", "stochastic-depth-resnet-50")
        ]
    ends = [
        next(layer for layer in cost.layers if layer.name == "stage4_block3_relu").receptive_field for cost in costs
    ]
    assert ends[0] == ends[1] == ends[2]


def test_the_receptive_field_after_upsampling_is_unknown() -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, 3), layers.UpSampling2D()])
    assert [layer.receptive_field for layer in keras_archs.profile(model).layers] == [(3, 3), None]
