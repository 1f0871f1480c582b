"""First and last layers of networks: image input, pooling and classifier."""

from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from keras_archs.layers.options import MIN_SIZE, ClassifierOptions

CIFAR_SIZE, CIFAR_MIN_SIZE = 32, 4
"""Published and least height and width in pixels of a CIFAR network's input, which the stages halve twice."""


def image_input(size: int, options: ClassifierOptions, *, min_size: int = MIN_SIZE) -> keras.KerasTensor:
    """Return a network's input, of shape (batch, height, width, channels).

    Args:
        size: Published height and width in pixels.
        options: Arguments of the builder; uses ``include_top``, ``input_tensor``, ``input_shape`` and ``prefix``.
        min_size: Least height and width in pixels.

    Returns:
        ``input_tensor`` if it is given, else a new input.

    Raises:
        ValueError: If ``input_tensor`` or ``input_shape`` is not an image of at least the least size, or if Keras is
            configured for channels first.
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
        raise ValueError(f"input_tensor must be a Keras tensor, e.g. from keras.Input; got {type(tensor)}")
    if shape is not None and tuple(shape) != tuple(tensor.shape[1:]):
        raise ValueError(f"input_shape={shape} contradicts input_tensor, of shape {tensor.shape[1:]}")
    _check_image_shape("input_tensor", tensor.shape[1:], min_size)
    return tensor


def cifar_input(options: ClassifierOptions) -> keras.KerasTensor:
    """Return the input of a network for CIFAR's images: `image_input` with their sizes."""
    return image_input(CIFAR_SIZE, options, min_size=CIFAR_MIN_SIZE)


def _check_image_shape(argument: str, shape: Any, min_size: int) -> None:
    """Refuse a shape without batch that is not (height, width, channels), or is too small."""
    match shape:
        case (height, width, channels):
            sides = [side for side in (height, width) if side is not None]
            # exactly int: True is an int, too
            sound = type(channels) is int and channels >= 1
            sound &= all(type(side) is int and side >= min_size for side in sides)
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
    """Pool the last feature map and classify it; without the classifier, only pool it.

    Args:
        x: Last feature map, of shape (batch, height, width, channels).
        options: Arguments of the builder; uses ``include_top``, ``pooling``, ``classes``, ``classifier_activation`` and
            ``prefix``.
        neck: Applies layers of the classifier between pooling and dropout; None if the family has no such layers.
        dropout_rate: Rate of the dropout before the classifier; at least 0 and less than 1.
        kernel_initializer: Initializer of the classifier's kernel.

    Returns:
        With the classifier, probabilities of shape (batch, classes), or what another activation makes of the logits.
        Without it, features of shape (batch, channels), or the feature map if ``pooling`` is None.
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
    # Float32 also under mixed precision: a softmax over 1000 classes in float16 rounds small probabilities to 0.
    return layers.Dense(
        options["classes"],
        activation=options["classifier_activation"],
        kernel_initializer=kernel_initializer,
        dtype="float32",
        name=f"{prefix}predictions",
    )(x)


def model_of(images: keras.KerasTensor, outputs: keras.KerasTensor, options: ClassifierOptions) -> keras.Model:
    """Return the functional model from the inputs that ``images`` is computed from to ``outputs``."""
    inputs = images if options["input_tensor"] is None else keras.utils.get_source_inputs(images)
    return keras.Model(inputs, outputs, name=options["name"])
