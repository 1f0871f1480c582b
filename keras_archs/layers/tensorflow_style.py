"""Convolutions in the style of TensorFlow networks: SAME padding, which depends on the image size."""

from collections.abc import Callable

import keras
from keras import layers


def conv_bn(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int,
    activation: str | None,
    *,
    kernel_initializer: Callable[[], keras.initializers.Initializer],
    momentum: float,
    name: str,
) -> keras.KerasTensor:
    """Convolution with SAME padding, normalisation and (where there is one) activation, as in TensorFlow's networks.

    Args:
        x: Feature map.
        filters: Channels of the result.
        kernel: Height and width of the window.
        stride: In both directions.
        activation: None for a linear result.
        kernel_initializer: Makes the initializer; each convolution gets its own, hence its own draw.
        momentum: Of the moving statistics.
        name: Start of the layers' names.

    Returns:
        The new feature map.
    """
    x = layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=kernel_initializer(),
        name=f"{name}_conv",
    )(x)
    return _bn(x, activation, momentum=momentum, name=name)


def depthwise_bn(
    x: keras.KerasTensor,
    kernel: int,
    stride: int,
    activation: str | None,
    *,
    kernel_initializer: Callable[[], keras.initializers.Initializer],
    momentum: float,
    name: str,
) -> keras.KerasTensor:
    """`conv_bn` with one filter per channel."""
    x = layers.DepthwiseConv2D(
        kernel,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=kernel_initializer(),
        name=f"{name}_conv",
    )(x)
    return _bn(x, activation, momentum=momentum, name=name)


def _bn(x: keras.KerasTensor, activation: str | None, *, momentum: float, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=momentum, epsilon=1e-3, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_activation")(x) if activation else x
