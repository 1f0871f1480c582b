"""Convolution, normalisation and pooling in the style of Torch networks: symmetric padding, epsilon 1e-5."""

from collections.abc import Callable
from functools import partial

import keras
from keras import layers

from keras_archs.layers.grouped_convolution import GroupedConv2D

MOMENTUM, EPSILON = 0.9, 1e-5
"""Momentum and epsilon of batch normalisation; Torch counts the momentum as 1 - 0.9 = 0.1."""


def he_fan_out() -> keras.initializers.Initializer:
    """Return He initialisation by fan-out, as in Torch networks; a grouped kernel counts the filters of all groups."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def torch_dense() -> keras.initializers.Initializer:
    """Return Torch's initialisation of a dense layer: uniform between -1/sqrt(features) and 1/sqrt(features)."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def conv(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    use_bias: bool = False,
    kernel_initializer: Callable[[], keras.initializers.Initializer] = he_fan_out,
    normalise: bool = False,
    gamma: str = "ones",
    activation: str | None = None,
    suffix: str = "",
    name: str,
) -> keras.KerasTensor:
    """Convolve with the same padding on all sides; normalise and activate if required.

    Args:
        x: Feature map of shape (batch, height, width, channels).
        filters: Channels of the result.
        kernel: Height and width of the window; odd.
        stride: Stride in both directions.
        groups: Number of groups that the channels are divided into.
        use_bias: Whether the convolution has a bias.
        kernel_initializer: Makes the initializer; each convolution calls it, so that each has its own draw.
        normalise: Whether batch normalisation follows.
        gamma: Initializer of the normalisation's scale.
        activation: Activation at the end; None for a linear result.
        suffix: End of the convolution's own name, e.g. ``"_conv"``.
        name: Start of the names of all layers; without a suffix, it is the convolution's name.

    Returns:
        The new feature map.
    """
    # With a stride, Keras' "same" would pad by the image size, and more at the end than at the start.
    if stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}{suffix}_pad")(x)
    convolution = layers.Conv2D if groups == 1 else GroupedConv2D
    x = convolution(
        filters,
        kernel,
        stride,
        padding="same" if stride == 1 else "valid",
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(),
        name=f"{name}{suffix}",
    )(x)
    if normalise:
        x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, gamma_initializer=gamma, name=f"{name}_bn")(x)
    return layers.Activation(activation, name=f"{name}_{activation}")(x) if activation else x


conv_bn = partial(conv, normalise=True, activation="relu")
"""`conv` with normalisation and, unless ``activation=None``, ReLU."""


def bn(x: keras.KerasTensor, *, gamma: str = "ones", name: str) -> keras.KerasTensor:
    """Normalise a batch; ``gamma`` is the initializer of the scale."""
    return layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, gamma_initializer=gamma, name=name)(x)


def bn_relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Normalise and activate, as networks with pre-activation do before a convolution."""
    x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def max_pool(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Take the maximum of 3x3 windows with stride 2; only after a ReLU, where a border of zeros changes no maximum."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)


def caffe_max_pool(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Pool as `max_pool`, but with Caffe's border, which is on the right and lower side only."""
    x = layers.ZeroPadding2D(((0, 1), (0, 1)), name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)
