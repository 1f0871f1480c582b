"""Keras' layers for random changes of images, as functions of an image and a seed, on any backend of Keras.

The layers run in TensorFlow graphs on the processor, as they do in `tf.data`, whatever backend the network trains on.
So threads can run them while the network trains, and a seed means the same change on every backend.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from keras_archs.images.preprocessing import Preprocessing

Change = Callable[[NDArray[np.float32], int], NDArray[np.float32]]
"""Function from the pixels of an image [H, W, C], 0 to 255, and a seed, 0 to 2^31 - 1, to changed pixels."""
Mix = Callable[[NDArray[np.float32], NDArray[np.float32], int], tuple[NDArray[np.float32], NDArray[np.float32]]]
"""Function from images [B, H, W, C], targets [B, K] and a seed to mixed images and targets."""

# Float32 under any policy of mixed precision, and [H, W, C] under any setting of Keras.
_COMMON: Final = {"dtype": "float32", "data_format": "channels_last"}

_DEGREES_30: Final = 30 / 360
"""RandomRotation counts in full turns."""


def rand_augment_operations(preprocessing: Preprocessing, strength: float) -> list[Change]:
    """Return the operations that RandAugment chooses from, at their largest strength for 1.

    `keras.layers.RandAugment` chooses the operations once for a whole batch, computes all of them to keep two, turns by
    up to 180 degrees at its default strength, and shifts and brightens in one direction only. Here each image gets
    operations of its own, and an operation acts in both directions, with about the ranges of AutoAugment (Cubuk et al.
    2018). Two operations are left out: Solarization, because the weakest change of Keras' layer is the negative of the
    image, and Equalization, whose layer takes 40 ms for an image of 224 pixels on the JAX backend.

    Args:
        preprocessing: Size and channels of the images.
        strength: 0 to 1.
    """
    # A number alone lets some of the layers act in one direction only.
    contrast = (0.9 * strength, 0.9 * strength)
    sharpness = (0.5 - 0.5 * strength, 0.5 + 0.5 * strength)
    layers = keras.layers
    operations = [
        layers.RandomRotation(_DEGREES_30 * strength, **_COMMON),
        layers.RandomShear(x_factor=0.3 * strength, **_COMMON),
        layers.RandomShear(y_factor=0.3 * strength, **_COMMON),
        layers.RandomTranslation(0.0, 0.3 * strength, **_COMMON),
        layers.RandomTranslation(0.3 * strength, 0.0, **_COMMON),
        layers.RandomBrightness(0.4 * strength, **_COMMON),
        layers.RandomContrast(contrast, **_COMMON),
        layers.RandomSharpness(sharpness, **_COMMON),
        layers.RandomPosterization((8 - round(4 * strength), 8), **_COMMON),
        layers.AutoContrast(**_COMMON),
    ]
    if preprocessing.channels == 3:
        operations.append(layers.RandomColorDegeneration(strength, **_COMMON))
    return [_change(layer, preprocessing) for layer in operations]


def eraser(preprocessing: Preprocessing) -> Change:
    """Return a function that paints a random box in the mean colour of the preprocessing: zero for the network."""
    mean = [float(value) for value in preprocessing.mean]
    fill = mean if len(mean) == 3 else mean[0]
    return _change(keras.layers.RandomErasing((1.0, 1.0), (0.02, 0.33), fill, **_COMMON), preprocessing)


def mixers(preprocessing: Preprocessing, images: int, classes: int, mixup: float, cutmix: float) -> list[Mix]:
    """Return functions that mix each image of a batch with another.

    Args:
        preprocessing: Size and channels of the images.
        images: Number of images in a batch.
        classes: Number of classes.
        mixup: Parameter alpha of MixUp; 0 for none.
        cutmix: Parameter alpha of CutMix, 0 to 1; 0 for none.
    """
    layers = [keras.layers.MixUp(mixup, **_COMMON)] if mixup else []
    if cutmix:
        layers.append(keras.layers.CutMix((cutmix, cutmix), **_COMMON))
    return [_mix(layer, (images, *preprocessing.size, preprocessing.channels), classes) for layer in layers]


class _Seeds(keras.random.SeedGenerator):
    """The seeds that a layer asks for one after another, all from one number.

    Keras' own generator counts in a variable, which threads would share, and which would have to be saved and restored.
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # The generator of the base class, a variable, is not wanted.
        self._seed = seed
        self._count = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        self._count += 1
        return tf.stack([self._seed, self._count])


def _change(layer: Any, preprocessing: Preprocessing) -> Change:
    layer.backend.set_backend("tensorflow")

    def transform(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        images = image[tf.newaxis]
        transformation = layer.get_random_transformation(images, seed=_Seeds(seed))
        return layer.transform_images(images, transformation)[0]

    graph = _graph(transform, [(*preprocessing.size, preprocessing.channels)])

    def change(image: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
        changed: NDArray[np.float32] = graph(tf.constant(image), tf.constant(seed)).numpy()
        return changed

    return change


def _mix(layer: Any, shape: tuple[int, ...], classes: int) -> Mix:
    layer.backend.set_backend("tensorflow")

    def transform(images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        transformation = layer.get_random_transformation(images, seed=_Seeds(seed))
        return layer.transform_images(images, transformation), layer.transform_labels(targets, transformation)

    graph = _graph(transform, [shape, (shape[0], classes)])

    def mix(
        images: NDArray[np.float32], targets: NDArray[np.float32], seed: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        mixed, mixed_targets = graph(tf.constant(images), tf.constant(targets), tf.constant(seed))
        return mixed.numpy(), mixed_targets.numpy()

    return mix


def _graph(transform: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> Callable[..., Any]:
    """Trace a function of float32 tensors and a seed, before threads call it."""
    if keras.backend.backend() != "tensorflow":
        # TensorFlow would take the memory of the GPU that the network trains on.
        with contextlib.suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    signature = [*(tf.TensorSpec(shape, tf.float32) for shape in shapes), tf.TensorSpec((), tf.int32)]
    with tf.device("CPU"):
        graph = tf.function(transform, input_signature=signature).get_concrete_function()

    def run(*arguments: tf.Tensor) -> Any:
        with tf.device("CPU"):
            return graph(*arguments)

    return run
