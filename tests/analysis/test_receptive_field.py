"""Receptive fields are what gradients say: the pixels that one feature depends on."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import keras_archs
from keras_archs.analysis.weightless import weightless


def by_gradient(model: keras.Model, size: int) -> tuple[int, int]:
    """Height and width of the pixels that the feature in the middle reacts to."""
    image = tf.Variable(tf.zeros((1, size, size, 1)))
    with tf.GradientTape() as tape:
        features = model(image)
        middle = features.shape[1] // 2
        feature = tf.reduce_sum(features[0, middle, middle])
    touched = np.abs(np.asarray(tape.gradient(feature, image)))[0, :, :, 0] > 0
    rows, columns = np.flatnonzero(touched.any(axis=1)), np.flatnonzero(touched.any(axis=0))
    return int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)


def linear(*stack: keras.Layer, size: int = 61) -> keras.Model:
    """Positive weights, so that no path to a pixel cancels another."""
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
def test_of_a_stack(stack: tuple[keras.Layer, ...]) -> None:
    model = linear(*stack)
    assert keras_archs.profile(model).layers[-1].receptive_field == by_gradient(model, 61)


def test_branches_see_as_much_as_the_one_that_sees_most() -> None:
    images = keras.Input((31, 31, 1))
    narrow, wide = layers.Conv2D(1, 3, padding="same")(images), layers.Conv2D(1, 9, padding="same")(images)
    model = keras.Model(images, layers.Add()([narrow, wide]))
    model.set_weights([np.ones_like(weight) for weight in model.get_weights()])
    assert keras_archs.profile(model).layers[-1].receptive_field == by_gradient(model, 31) == (9, 9)


def test_of_published_networks() -> None:
    """Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill (2019), has 483 for v1."""
    for arguments, expected in (({}, 427), ({"stride_in_1x1": True}, 483)):
        with weightless():
            cost = keras_archs.profile(keras_archs.create_model("resnet-50", **arguments))
        fields = {layer.name: layer.receptive_field for layer in cost.layers}
        assert fields["stage4_block3_relu"] == (expected, expected)
        assert fields["avg_pool"] is fields["predictions"] is None


def test_gates_do_not_count_and_dropped_branches_do() -> None:
    with weightless():
        costs = [
            keras_archs.profile(keras_archs.create_model(name))
            for name in ("resnet-50", "se-resnet-50", "stochastic-depth-resnet-50")
        ]
    ends = [
        next(layer for layer in cost.layers if layer.name == "stage4_block3_relu").receptive_field for cost in costs
    ]
    assert ends[0] == ends[1] == ends[2]


def test_what_enlarges_is_not_known() -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, 3), layers.UpSampling2D()])
    assert [layer.receptive_field for layer in keras_archs.profile(model).layers] == [(3, 3), None]
