"""Convolutions in the style of TensorFlow networks: SAME padding, whose amount depends on the image size."""

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

_EPSILON = 1e-3


class Constants(NamedTuple):
    """Initializer and momentum that all convolutions and normalisations of a family share."""

    kernel_initializer: Callable[[], keras.initializers.Initializer]
    """Factory of kernel initializers: called once per layer, so that each kernel gets its own random values."""
    momentum: float
    """Momentum of the moving statistics of batch normalisation."""


def slim_initializer() -> keras.initializers.Initializer:
    """Return TF-slim's initializer for MobileNets: a normal distribution, truncated at two standard deviations."""
    return keras.initializers.TruncatedNormal(stddev=0.09)


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int,
    activation: str | None,
    constants: Constants,
    *,
    name: str,
) -> keras.KerasTensor:
    """Apply a convolution with SAME padding, batch normalisation and an activation.

    Args:
        x: Feature map of shape (batch, height, width, channels).
        filters: Number of output channels.
        kernel: Height and width of the kernel in pixels.
        stride: Stride in both directions.
        activation: Name of the activation; None for a linear output.
        constants: Initializer and momentum.
        name: Start of the layers' names.

    Returns:
        Feature map of shape (batch, ceil(height / stride), ceil(width / stride), filters).
    """
    x = layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=constants.kernel_initializer(),
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(momentum=constants.momentum, epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_activation")(x) if activation else x


def depthwise_bn(
    x: keras.KerasTensor, kernel: int, stride: int, activation: str | None, constants: Constants, *, name: str
) -> keras.KerasTensor:
    """Apply a depthwise convolution, one filter per channel, in place of the convolution of `conv_bn`."""
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=constants.kernel_initializer(),
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(momentum=constants.momentum, epsilon=_EPSILON, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_activation")(x) if activation else x
