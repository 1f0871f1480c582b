"""The random changes of an augmentation, applied to images and batches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.augmentation import Augmentation
from keras_archs.training.data.random_crops import RandomCrops

if TYPE_CHECKING:
    from keras_archs.training.data.keras_layers import Change, Mix

_OPERATIONS: Final = 2  # of RandAugment for each image
_SEEDS: Final = 2**31


class Changes:
    """The random changes of an augmentation; they load Keras only if the augmentation needs Keras' layers."""

    def __init__(
        self, preprocessing: Preprocessing, augmentation: Augmentation, *, images: int, batch: int, classes: int
    ) -> None:
        """Prepare the changes.

        Args:
            preprocessing: Size and channels of the images.
            augmentation: The changes.
            images: Number of all images.
            batch: Number of images of a batch that are mixed with each other.
            classes: Number of classes.
        """
        self._crops = RandomCrops(preprocessing, augmentation, images)
        self._erasing = augmentation.erasing
        self._operations: list[Change] = []
        self._erase: Change | None = None
        self._mixers: list[Mix] = []
        if augmentation.rand_augment or augmentation.erasing or augmentation.mixup or augmentation.cutmix:
            from keras_archs.training.data import keras_layers  # imports Keras and TensorFlow

            if augmentation.rand_augment:
                self._operations = keras_layers.rand_augment_operations(preprocessing, augmentation.rand_augment)
            if augmentation.erasing:
                self._erase = keras_layers.eraser(preprocessing)
            self._mixers = keras_layers.mixers(preprocessing, batch, classes, augmentation.mixup, augmentation.cutmix)

    def load(self, path: Path, rng: np.random.Generator) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Decode an image and change it.

        Args:
            path: Path of the image.
            rng: Source of the random numbers.

        Returns:
            Pixels of shape (height, width, channels), 0 to 255.

        Raises:
            ImageError: If the image cannot be decoded.
            OSError: If the path cannot be read.
        """
        pixels: NDArray[np.uint8] | NDArray[np.float32]
        pixels = self._crops.load(path, rng)
        changes = []
        if self._operations:
            changes = [self._operations[i] for i in rng.integers(len(self._operations), size=_OPERATIONS)]
        if self._erase and rng.random() < self._erasing:
            changes.append(self._erase)
        for change in changes:
            pixels = change(pixels.astype(np.float32), int(rng.integers(_SEEDS)))
        return pixels

    def mix(
        self, images: NDArray[np.float32], targets: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mix each image of a batch with another, by one of the ways of the augmentation.

        Args:
            images: [B, H, W, C], normalised.
            targets: [B, K], probabilities of the classes.
            rng: Source of the random numbers.

        Returns:
            Images and targets; those given if the augmentation does not mix.
        """
        if not self._mixers:
            return images, targets
        mix = self._mixers[rng.integers(len(self._mixers))]
        return mix(images, targets, int(rng.integers(_SEEDS)))
