"""Convolutions in the style of Torch networks: explicit symmetric padding."""

from collections.abc import Callable

import keras
from keras import layers

from keras_archs.layers.grouped_convolution import GroupedConv2D


def he_fan_out() -> keras.initializers.Initializer:
    """He initialisation by the outputs, as Torch's networks have it; a grouped kernel counts all its filters."""
    return keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")


def torch_dense() -> keras.initializers.Initializer:
    """A dense layer's initialisation in Torch: uniform between -1/sqrt(features) and 1/sqrt(features)."""
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def symmetric_conv(
    x: keras.KerasTensor,
    filters: int,
    kernel: int,
    stride: int = 1,
    *,
    groups: int = 1,
    use_bias: bool = False,
    kernel_initializer: Callable[[], keras.initializers.Initializer] = he_fan_out,
    name: str,
) -> keras.KerasTensor:
    """Convolution that pads all sides alike, as in Torch's networks.

    Args:
        x: Feature map.
        filters: Channels of the result.
        kernel: Height and width of the window; odd.
        stride: In both directions.
        groups: Into which the channels are divided.
        use_bias: Whether there is a bias.
        kernel_initializer: Makes the initializer.
        name: Of the layer; the padding's begins with it.

    Returns:
        The new feature map.
    """
    # "same" is symmetric without a stride only; with one it would depend on the size.
    if stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    convolution = layers.Conv2D if groups == 1 else GroupedConv2D
    return convolution(
        filters,
        kernel,
        stride,
        padding="same" if stride == 1 else "valid",
        groups=groups,
        use_bias=use_bias,
        kernel_initializer=kernel_initializer(),
        name=name,
    )(x)


def torch_bn(x: keras.KerasTensor, *, gamma: str = "ones", name: str) -> keras.KerasTensor:
    """Batch normalisation with Torch's epsilon, and its momentum as Keras counts it."""
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma, name=name)(x)


def torch_bn_relu(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Normalisation and activation, as they come before a convolution."""
    x = torch_bn(x, name=f"{name}_bn")
    return layers.ReLU(name=f"{name}_relu")(x)


def symmetric_max_pool(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    """Maximum of 3x3 at every second place; only after a ReLU, where a border of zeros changes no maximum."""
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    return layers.MaxPooling2D(3, 2, name=name)(x)
