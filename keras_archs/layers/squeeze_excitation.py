"""Squeeze-and-excitation (Hu et al. 2017): channels scaled by gates that are computed from all channels."""

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
    """Scale each channel by a gate that is computed from the means of all channels (figure 1 and section 3).

    Args:
        x: Feature map of shape (batch, height, width, channels).
        hidden: Channels of the bottleneck between squeeze and excitation.
        activation: Activation of the bottleneck.
        gate_activation: Activation of the gates.
        kernel_initializer: Factory of kernel initializers: called once per layer, so that each kernel gets its own
            random values.
        name: Start of the layers' names.

    Returns:
        The scaled feature map, of the same shape.
    """
    gate = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    gate = layers.Conv2D(
        hidden, 1, activation=activation, kernel_initializer=kernel_initializer(), name=f"{name}_reduce"
    )(gate)
    gate = layers.Conv2D(
        x.shape[-1], 1, activation=gate_activation, kernel_initializer=kernel_initializer(), name=f"{name}_expand"
    )(gate)
    return layers.Multiply(name=f"{name}_excite")([x, gate])


def torch_squeeze_excite(x: keras.KerasTensor, se_ratio: float | None, *, name: str) -> keras.KerasTensor:
    """Scale the channels as Torch networks do, with ``se_ratio`` of them in the bottleneck; without ratio, return x."""
    if not se_ratio:
        return x
    return squeeze_excite(
        x,
        hidden=max(1, int(se_ratio * x.shape[-1])),
        activation="relu",
        kernel_initializer=he_fan_out,
        name=f"{name}_se",
    )
