"""Building blocks that several families share. All tensors are channels-last."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

import keras
from keras import layers

from keras_archs.builders import MIN_SIZE, ClassifierOptions
from keras_archs.layers import GroupedConv2D, Recomputed, StochasticResidual

CIFAR_SIZE, CIFAR_MIN_SIZE = 32, 4
"""Networks for CIFAR's images halve them twice only."""


def image_input(size: int, options: ClassifierOptions, *, min_size: int = MIN_SIZE) -> keras.KerasTensor:
    """Return the tensor that a network starts from.

    Args:
        size: Published height and width of the network's input.
        options: ``include_top``, ``input_tensor``, ``input_shape`` and ``prefix`` are used.
        min_size: Least height and width.

    Returns:
        ``input_tensor`` if there is one, else a new input.

    Raises:
        ValueError: If the shape is none that a network can take.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "keras_archs networks are channels_last, but keras.config.image_data_format() is "
            f"{keras.config.image_data_format()!r}: call keras.config.set_image_data_format('channels_last')"
        )
    tensor, shape = options["input_tensor"], options["input_shape"]
    if tensor is None:
        if shape is None:
            shape = (size, size, 3) if options["include_top"] else (None, None, 3)
        _check_image_shape("input_shape", shape, min_size)
        return keras.Input(shape, name=f"{options['prefix']}images")
    if not isinstance(tensor, keras.KerasTensor):
        raise ValueError(f"input_tensor must be a Keras tensor, such as keras.Input returns; got {type(tensor)}")
    if shape is not None and tuple(shape) != tuple(tensor.shape[1:]):
        raise ValueError(f"input_shape={shape} contradicts input_tensor, of shape {tensor.shape[1:]}")
    _check_image_shape("input_tensor", tensor.shape[1:], min_size)
    return tensor


def cifar_input(options: ClassifierOptions) -> keras.KerasTensor:
    """Return the tensor that a network for CIFAR's images starts from."""
    return image_input(CIFAR_SIZE, options, min_size=CIFAR_MIN_SIZE)


def _check_image_shape(argument: str, shape: Any, min_size: int) -> None:
    match shape:
        case (int() | None as height, int() | None as width, int() as channels):
            sound = channels >= 1 and all(n is None or n >= min_size for n in (height, width))
        case _:
            sound = False
    if not sound:
        raise ValueError(
            f"{argument} must be (height, width, channels) with height and width None or at least {min_size} "
            f"and at least 1 channel; got {shape}"
        )


def classification_head(
    x: keras.KerasTensor,
    options: ClassifierOptions,
    *,
    neck: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None,
    dropout_rate: float = 0.0,
    kernel_initializer: Any = "glorot_uniform",
) -> keras.KerasTensor:
    """Pool the last feature map and classify it; without the classifier, only pool as ``pooling`` says.

    Args:
        x: The last feature map.
        options: ``include_top``, ``pooling``, ``classes``, ``classifier_activation`` and ``prefix`` are used.
        neck: Layers that belong to the classifier and come between pooling and dropout, if there are any.
        dropout_rate: Dropout before the classifier.
        kernel_initializer: Of the classifier.

    Returns:
        Probabilities or logits, features of shape (batch, channels), or the feature map as it is.
    """
    prefix, pooling = options["prefix"], "avg" if options["include_top"] else options["pooling"]
    if pooling == "avg":
        x = layers.GlobalAveragePooling2D(name=f"{prefix}avg_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(name=f"{prefix}max_pool")(x)
    if not options["include_top"]:
        return x
    if neck:
        x = neck(x)
    if dropout_rate:
        x = layers.Dropout(dropout_rate, name=f"{prefix}top_dropout")(x)
    # In float32 under mixed precision too: a softmax over 1000 classes in float16 loses the small ones.
    return layers.Dense(
        options["classes"],
        activation=options["classifier_activation"],
        kernel_initializer=kernel_initializer,
        dtype="float32",
        name=f"{prefix}predictions",
    )(x)


def model_of(images: keras.KerasTensor, outputs: keras.KerasTensor, options: ClassifierOptions) -> keras.Model:
    """Make the model, from the very inputs that ``input_tensor`` depends on."""
    inputs = images if options["input_tensor"] is None else keras.utils.get_source_inputs(images)
    return keras.Model(inputs, outputs, name=options["name"])


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


def dropout(x: keras.KerasTensor, rate: float, *, name: str, per_image: bool = False) -> keras.KerasTensor:
    """Dropout, or with a rate of 0 a layer in its place.

    Keras orders layers, and with them the weights in files, by their distance from the output: beside a projection, a
    layer less in the branch would make another order.

    Args:
        x: Feature map.
        rate: At least 0 and less than 1.
        name: Of the layer.
        per_image: Whether all of an image's features are dropped together.

    Returns:
        The feature map.
    """
    if not rate:
        return layers.Identity(name=name)(x)
    return layers.Dropout(rate, noise_shape=(None, 1, 1, 1) if per_image else None, name=name)(x)


def drop_path(x: keras.KerasTensor, rate: float, *, name: str) -> keras.KerasTensor:
    """Drop a residual branch per image in training (stochastic depth, Huang et al. 2016).

    Dropout over the batch axis alone is just that, scales what it keeps by 1 / (1 - rate), and saves without
    a custom layer.
    """
    return dropout(x, rate, per_image=True, name=name) if rate else x


def drop_rates(rate: float, blocks: int, decay: Literal["linear", "uniform"] = "linear") -> Iterator[float]:
    """Yield each block's rate of stochastic depth (Huang et al. 2016, section 4, equation 4).

    Args:
        rate: The last block's.
        blocks: How many blocks there are.
        decay: ``"linear"`` to rise with the block, ``"uniform"`` for the same everywhere.

    Returns:
        The rates, from the first block to the last.
    """
    return (rate if decay == "uniform" else rate * number / blocks for number in range(1, blocks + 1))


def skip(
    inputs: keras.KerasTensor, x: keras.KerasTensor, stride: int, drop_rate: float, *, name: str
) -> keras.KerasTensor:
    """Add what enters an inverted residual to what leaves it, if shapes allow; stochastic depth is only there."""
    if stride > 1 or inputs.shape[-1] != x.shape[-1]:
        return x
    return layers.Add(name=f"{name}_add")([inputs, drop_path(x, drop_rate, name=f"{name}_drop")])


def add_branch(
    shortcut: keras.KerasTensor,
    x: keras.KerasTensor,
    branch: Callable[[keras.KerasTensor], keras.KerasTensor],
    drop_rate: float,
    *,
    per: Literal["image", "batch"],
    name: str,
) -> keras.KerasTensor:
    """Add a residual branch, which stochastic depth may drop in training.

    Args:
        shortcut: What is added to.
        x: What the branch is computed from.
        branch: Computes it, with layers of its own names.
        drop_rate: Probability of dropping; 0 for none.
        per: ``"image"`` as `drop_path` does, ``"batch"`` as `keras_archs.layers.StochasticResidual` does.
        name: Of the block.

    Returns:
        The sum.
    """
    if drop_rate and per == "batch":
        inner = keras.Input(batch_shape=x.shape, dtype=x.dtype)
        residual = StochasticResidual(keras.Model(inner, branch(inner)), drop_rate, name=f"{name}_drop")
        return residual([x, shortcut])
    x = dropout(branch(x), drop_rate, per_image=True, name=f"{name}_drop")
    return layers.Add(name=f"{name}_add")([shortcut, x])


def recomputed(
    inputs: list[keras.KerasTensor],
    function: Callable[[list[keras.KerasTensor]], keras.KerasTensor],
    *,
    name: str,
) -> keras.KerasTensor:
    """Apply layers without keeping their results for the backward pass (`keras_archs.layers.Recomputed`).

    Args:
        inputs: What is kept.
        function: Applies the layers, which have names of their own.
        name: Of the layer around them.

    Returns:
        What the function returns.
    """
    inner = [keras.Input(batch_shape=x.shape, dtype=x.dtype) for x in inputs]
    return Recomputed(keras.Model(inner, function(inner)), name=name)(inputs)
