"""Squeeze-and-excitation (Hu et al. 2017): channels scaled by gates computed from all channels."""

from collections.abc import Callable

import keras
from keras import layers

from keras_archs.layers.torch_style import he_fan_out


def squeeze_excite(
    x: keras.KerasTensor,
    hidden: int,
    *,
    activation: str,
    gate_activation: str = "sigmoid",
    kernel_initializer: Callable[[], keras.initializers.Initializer],
    name: str,
) -> keras.KerasTensor:
    """Let each channel be scaled by what all channels contain (Hu et al. 2017, figure 1 and section 3).

    Args:
        x: Feature map.
        hidden: Channels of the bottleneck between squeeze and excitation.
        activation: Inside the bottleneck.
        gate_activation: Of the gate that the channels are multiplied by.
        kernel_initializer: Makes the initializer of a 1x1 convolution; each gets its own, hence its own draw.
        name: Start of the layers' names.

    Returns:
        The feature map, scaled.
    """
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    for step, filters, function in (("reduce", hidden, activation), ("expand", x.shape[-1], gate_activation)):
        gate = layers.Conv2D(
            filters, 1, activation=function, kernel_initializer=kernel_initializer(), name=f"{name}_{step}"
        )(gate)
    return layers.Multiply(name=f"{name}_excite")([x, gate])


def torch_squeeze_excite(x: keras.KerasTensor, se_ratio: float | None, *, name: str) -> keras.KerasTensor:
    """Squeeze-and-excitation of Torch's networks, with ``se_ratio`` of the channels inside; nothing without a ratio."""
    if not se_ratio:
        return x
    return squeeze_excite(
        x,
        hidden=max(1, int(se_ratio * x.shape[-1])),
        activation="relu",
        kernel_initializer=he_fan_out,
        name=f"{name}_se",
    )
