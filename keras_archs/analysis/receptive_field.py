"""Receptive field: the part of the image that one feature depends on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers


@dataclass(frozen=True)
class Field:
    """Receptive field of the features of one feature map, per spatial dimension."""

    size: tuple[int, ...]
    """Side of the receptive field, in pixels of the image."""
    stride: tuple[int, ...]
    """Distance between the receptive fields of neighbouring features, in pixels of the image."""

    @classmethod
    def of_image(cls, shape: Sequence[int]) -> "Field":
        """Return the receptive field of the pixels themselves.

        Args:
            shape: Shape of the image without the batch, channels last, e.g. (height, width, channels).

        Returns:
            Size 1 and stride 1 in each spatial dimension.
        """
        dimensions = len(shape) - 1
        return cls((1,) * dimensions, (1,) * dimensions)

    @classmethod
    def widest(cls, fields: Sequence["Field | None"]) -> "Field | None":
        """Return the largest of several receptive fields, for an operation that combines feature maps.

        Feature maps that depend on the whole image (None) are ignored: a squeeze-and-excitation gate would otherwise
        make every feature behind the first block depend on the whole image, and the number would say nothing.

        Args:
            fields: Receptive fields of the inputs; None for the whole image or unknown.

        Returns:
            The largest receptive field, or None if all are None.
        """
        bounded = [field for field in fields if field is not None]
        return max(bounded, key=lambda field: field.size, default=None)

    def through(self, window: Sequence[int], stride: Sequence[int]) -> "Field":
        """Return the receptive field after a sliding window over this feature map.

        Args:
            window: Side of the window per spatial dimension, in features, dilation included.
            stride: Step of the window per spatial dimension, in features.

        Returns:
            The receptive field of the window's output.
        """
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
_UPSAMPLING = (
    layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose,
    layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D, layers.Resizing,
)  # fmt: skip

_PADDING_AND_CROPPING = (
    layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
    layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
)  # fmt: skip


def field_after(
    layer: Any, inputs: Sequence[keras.KerasTensor], outputs: keras.KerasTensor, fields: Sequence[Field | None]
) -> Field | None:
    """Return the receptive field of a layer's output.

    Args:
        layer: A Keras layer or operation.
        inputs: Input tensors of the layer.
        outputs: Output tensor of the layer.
        fields: Receptive field of each input; None for the whole image or unknown.

    Returns:
        The receptive field, or None for the whole image or unknown.
    """
    field = Field.widest(fields)
    if field is None or isinstance(layer, _UPSAMPLING):
        return None
    if isinstance(layer, _CONVOLUTIONS):
        dilated = [(side - 1) * rate + 1 for side, rate in zip(layer.kernel_size, layer.dilation_rate, strict=True)]
        return field.through(dilated, layer.strides)
    if isinstance(layer, _POOLINGS):
        return field.through(layer.pool_size, layer.strides)
    if isinstance(layer, _PADDING_AND_CROPPING):
        return field
    # Other operations: taken to work per position if they keep height and width, and on the whole image if not.
    same_size = any(tuple(tensor.shape[1:-1]) == tuple(outputs.shape[1:-1]) for tensor in inputs)
    return field if same_size and len(outputs.shape) == len(field.size) + 2 else None
