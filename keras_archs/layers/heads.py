"""Inputs and heads of networks: what an image enters by, and what a network ends in."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers

from keras_archs.layers.options import MIN_SIZE, ClassifierOptions

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


class PooledClassifier(NamedTuple):
    """The end of a network of which class activation maps can be made: a dense layer over means of feature maps."""

    pooling: keras.Layer
    head: keras.Layer


def pooled_classifier(model: keras.Model) -> PooledClassifier | None:
    """Return the global average pooling and the dense layer that a network ends in; None if it ends otherwise."""
    match final_layers(model):
        case [layers.GlobalAveragePooling2D(data_format="channels_last") as pooling, layers.Dense() as head]:
            return PooledClassifier(pooling, head)
    return None


def final_layers(model: keras.Model) -> list[keras.Layer]:
    """Return the last two layers of a model, apart from dropout."""
    return [layer for layer in model.layers[-3:] if not isinstance(layer, layers.Dropout)][-2:]
