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
        Multiply-adds for one image; None for a layer or operation that no rule covers.
    """
    if rule := _rule(layer):
        return rule(layer, inputs[0] if inputs else outputs, outputs)
    is_of_keras = type(layer).__module__.startswith("keras.")
    return 0 if is_of_keras and not isinstance(layer, layers.Layer) and type(layer).__name__ in _FREE else None


def is_covered(layer: keras.Layer) -> bool:
    """Whether a rule counts the multiply-adds of a layer."""
    return _rule(layer) is not None


def copies_nothing(layer: keras.Layer) -> bool:
    """Whether a layer returns its input itself, outside training: an identity, or a random change of images."""
    return _is(layer, _IDENTITIES)


def _rule(layer: keras.Layer) -> Callable[..., int] | None:
    return next((rule for kinds, rule in _RULES if _is(layer, kinds)), None)


def _is(layer: keras.Layer, kinds: Sequence[type]) -> bool:
    """Whether a layer is of one of these classes, or of a subclass that computes the same."""
    return any(isinstance(layer, kind) and type(layer).call is kind.call for kind in kinds)  # type: ignore[attr-defined]


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


_IDENTITIES: tuple[type, ...] = tuple(
    getattr(layers, name)
    for name in """
        Identity
        AugMix CutMix MixUp RandAugment RandomBrightness RandomColorDegeneration RandomColorJitter
        RandomContrast RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue
        RandomInvert RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
        RandomTranslation RandomZoom Solarization
    """.split()  # noqa: SIM905  # a list of strings would be a page
)
"""Layers that return their input, outside training; `Dropout` and the like are listed as layers that cost nothing."""

_ELEMENTWISE: tuple[type, ...] = tuple(
    getattr(layers, name)
    for name in """
        Activation ELU InputLayer LeakyReLU Masking PReLU ReLU Softmax
        BatchNormalization GroupNormalization LayerNormalization Normalization RMSNormalization UnitNormalization
        Rescaling Resizing CenterCrop RandomCrop
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

_FREE = frozenset(
    """
    Absolute Arccos Arccosh Arcsin Arcsinh Arctan Arctan2 Arctanh Cbrt Ceil Clip Cos Cosh Erf Erfc Exp Exp2 Expm1 Fabs
    Floor Hypot Log Log10 Log1p Log2 Logaddexp NanToNum Negative Reciprocal Round Rsqrt Sign Sin Sinh Sqrt Square Tan
    Tanh Trunc
    Add Divide DivideNoNan FloorDivide Maximum Minimum Mod Multiply Power Subtract TrueDivide Where
    Equal Greater GreaterEqual Isfinite Isinf Isnan Less LessEqual LogicalAnd LogicalNot LogicalOr LogicalXor NotEqual
    All Amax Amin Any Argmax Argmin Average CountNonzero Logsumexp Max Mean Min Moments Prod Std Sum TopK Var
    Append BroadcastTo Concatenate Copy Diagonal Dstack ExpandDims Flip FullLike GetItem Hstack Moveaxis OneHot OnesLike
    Pad Ravel Repeat Reshape Roll Rot90 Size Slice Split Squeeze Stack Swapaxes Take TakeAlongAxis Tile Transpose Tril
    Triu Unstack Vstack ZerosLike
    Cast ConvertToTensor SaturateCast StopGradient
    Celu Elu Gelu Glu HardShrink HardSigmoid HardSilu HardTanh LeakyRelu LogSigmoid LogSoftmax Relu Relu6 Selu Sigmoid
    Silu SoftShrink Softmax Softplus Softsign SparsePlus SparseSigmoid Squareplus TanhShrink Threshold
    AdaptiveAveragePool AdaptiveMaxPool AveragePool BatchNorm LayerNorm MaxPool Normalize RMSNorm
    CropImages DepthToSpace PadImages Resize SpaceToDepth
    """.split()  # noqa: SIM905  # a list of strings would be a page
)
"""Operations of `keras.ops` that move, compare, sum or multiply numbers elementwise, or normalise or pool."""
