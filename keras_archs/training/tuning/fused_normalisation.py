"""Batch normalisation in training as one operation of TensorFlow, on CPUs about five times as fast as Keras' own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_archs.layers.nested import normalisations


@contextmanager
def fused_normalisation(model: keras.Model) -> Iterator[None]:
    """Let the batch normalisations of images train with TensorFlow's fused operation within the context.

    Keras writes a training step of batch normalisation as a dozen operations over the whole batch, which take half of
    the time of a MobileNet's step on a CPU. Outputs, gradients and moving statistics are those of Keras but for
    rounding. Other backends compile the step, and keep Keras' own. Functions that Keras traced before stay as they are.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    changed = [layer for layer in normalisations(model) if _is_of_images(layer)]
    try:
        for layer in changed:
            layer.call = functools.partial(_call, layer, layer.call)
        yield
    finally:
        for layer in changed:
            del layer.call


def _is_of_images(layer: keras.layers.BatchNormalization) -> bool:
    return layer.input_spec.ndim == 4 and layer.axis in {-1, 3} and not layer.renorm


def _call(
    layer: keras.layers.BatchNormalization,
    own: Callable[..., Any],
    inputs: Any,
    training: bool | None = None,
    mask: Any = None,
) -> Any:
    import tensorflow as tf

    if mask is not None or not (training and layer.trainable):
        return own(inputs, training=training, mask=mask)
    channels = (inputs.shape[-1],)
    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=tf.cast(inputs, layer.compute_dtype),
        scale=layer.gamma if layer.scale else tf.ones(channels),
        offset=layer.beta if layer.center else tf.zeros(channels),
        mean=[],
        variance=[],
        epsilon=layer.epsilon,
        is_training=True,
    )
    # TensorFlow estimates the variance of all images, Keras averages those of the batch.
    pixels = tf.cast(tf.size(inputs) // channels[0], variance.dtype)
    variance *= tf.maximum(pixels - 1, 1) / pixels
    for moving, value in ((layer.moving_mean, mean), (layer.moving_variance, variance)):
        moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
    return outputs
