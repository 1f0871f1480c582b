"""How much of the image one number of a feature map depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers


@dataclass(frozen=True)
class Field:
    """Receptive field of a feature map, per direction."""

    size: tuple[int, ...]
    """Pixels that one feature depends on."""
    stride: tuple[int, ...]
    """Pixels of the image between two neighbouring features."""

    @classmethod
    def of_image(cls, shape: Sequence[int]) -> "Field":
        """What the pixels themselves see, of an image of shape (height, width, channels)."""
        directions = len(shape) - 1
        return cls((1,) * directions, (1,) * directions)

    @classmethod
    def widest(cls, fields: Sequence["Field | None"]) -> "Field | None":
        """What the combination of several feature maps sees.

        Those that see everything are left out: with a gate for each channel a feature would depend on all of the
        image in the second block already, and the number would say nothing.
        """
        known = [field for field in fields if field is not None]
        return max(known, key=lambda field: field.size, default=None)

    def through(self, window: Sequence[int], stride: Sequence[int]) -> "Field":
        """What a sliding window over this feature map sees."""
        return Field(
            tuple(size + (side - 1) * step for size, side, step in zip(self.size, window, self.stride, strict=True)),
            tuple(step * factor for step, factor in zip(self.stride, stride, strict=True)),
        )


_CONVOLUTIONS = (
    layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D,
    layers.SeparableConv1D, layers.SeparableConv2D,
)  # fmt: skip
_POOLINGS = (
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
    layers.MaxPooling1D, layers.MaxPooling2D, layers.MaxPooling3D,
)  # fmt: skip
_ENLARGING = (
    layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose,
    layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D, layers.Resizing,
)  # fmt: skip

_SHIFTING = (
    layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
    layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
)  # fmt: skip


def field_after(
    layer: Any, inputs: Sequence[keras.KerasTensor], outputs: keras.KerasTensor, fields: Sequence[Field | None]
) -> Field | None:
    """Return what a layer's output sees, given what its inputs see.

    Args:
        layer: A Keras layer or operation.
        inputs: Its input tensors.
        outputs: Its output tensor.
        fields: What they see; None for everything, or not known.

    Returns:
        The receptive field, or None for everything, or not known.
    """
    field = Field.widest(fields)
    if field is None or isinstance(layer, _ENLARGING):
        return None
    if isinstance(layer, _CONVOLUTIONS):
        dilated = [(side - 1) * rate + 1 for side, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
        return field.through(dilated, layer.strides)
    if isinstance(layer, _POOLINGS):
        return field.through(layer.pool_size, layer.strides)
    if isinstance(layer, _SHIFTING):
        return field
    # What keeps height and width looks at one place at a time; what gives them up looks at all.
    same_size = any(tuple(tensor.shape[1:-1]) == tuple(outputs.shape[1:-1]) for tensor in inputs)
    return field if same_size and len(outputs.shape) == len(field.size) + 2 else None
