"""Rules that count multiply-adds: one per multiplication in a convolution or a dense layer, and nothing else."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
from keras import layers


def multiply_adds(layer: keras.Layer, inputs: Sequence[keras.KerasTensor], outputs: keras.KerasTensor) -> int | None:
    """Count the multiply-adds of one use of a layer.

    Args:
        layer: A built layer, or an operation of `keras.ops`.
        inputs: Symbolic tensors that the layer is called on.
        outputs: First symbolic tensor that the layer returns.

    Returns:
        Multiply-adds for one image; None for a layer that no rule covers.
    """
    rule = next((rule for kinds, rule in _RULES if isinstance(layer, kinds)), None)
    if rule:
        return rule(layer, inputs[0] if inputs else outputs, outputs)
    if isinstance(layer, layers.Layer):
        return None
    return None if type(layer).__name__ in _PRODUCTS else 0


def size(weights: Iterable[keras.Variable]) -> int:
    """Return the number of values in all weights."""
    return sum(math.prod(variable.shape) for variable in weights)


def _positions(tensor: keras.KerasTensor, channels: int) -> int:
    """Return the number of pixels of one image, with channels first or last."""
    elements: int = math.prod(tensor.shape[1:])
    return elements // channels


def _convolution(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    # Also right for groups: the kernel's shape is (..., channels per group, filters).
    return _positions(outputs, layer.filters) * size([layer.kernel])


def _depthwise(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    *_window, channels, multiplier = layer.kernel.shape
    return _positions(outputs, channels * multiplier) * size([layer.kernel])


def _separable(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    return _positions(outputs, layer.filters) * size([layer.depthwise_kernel, layer.pointwise_kernel])


def _transposed(layer: keras.Layer, inputs: keras.KerasTensor, _: keras.KerasTensor) -> int:
    return _positions(inputs, layer.kernel.shape[-1]) * size([layer.kernel])


def _dense(layer: keras.Layer, _: keras.KerasTensor, outputs: keras.KerasTensor) -> int:
    return _positions(outputs, layer.units) * size([layer.kernel])


def _none(*_: Any) -> int:
    return 0


_ELEMENTWISE: tuple[type, ...] = tuple(
    getattr(layers, name)
    for name in """
        Activation ELU InputLayer LeakyReLU Masking PReLU ReLU Softmax
        BatchNormalization GroupNormalization LayerNormalization Normalization RMSNormalization UnitNormalization
        Rescaling Resizing CenterCrop
        Add Average Concatenate Maximum Minimum Multiply Subtract
        AveragePooling1D AveragePooling2D AveragePooling3D MaxPooling1D MaxPooling2D MaxPooling3D
        GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
        GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
        Cropping1D Cropping2D Cropping3D ZeroPadding1D ZeroPadding2D ZeroPadding3D
        UpSampling1D UpSampling2D UpSampling3D Flatten Permute RepeatVector Reshape
        ActivityRegularization AlphaDropout Dropout GaussianDropout GaussianNoise
        SpatialDropout1D SpatialDropout2D SpatialDropout3D
    """.split()  # noqa: SIM905  # a list of strings would be a page
)


_RULES: tuple[tuple[tuple[type, ...], Callable[..., int]], ...] = (
    ((layers.Conv1D, layers.Conv2D, layers.Conv3D), _convolution),
    ((layers.DepthwiseConv1D, layers.DepthwiseConv2D), _depthwise),
    ((layers.SeparableConv1D, layers.SeparableConv2D), _separable),
    ((layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose), _transposed),
    ((layers.Dense,), _dense),
    # By the convention these cost nothing: they move, compare or multiply numbers elementwise.
    (_ELEMENTWISE, _none),
)


_PRODUCTS = {"Conv", "ConvTranspose", "DepthwiseConv", "SeparableConv", "Dot", "DotProductAttention", "Einsum"} | {
    "Inner",
    "Matmul",
    "Outer",
    "Tensordot",
    "Vdot",
}
"""All operations of `keras.ops` that multiply and add."""
