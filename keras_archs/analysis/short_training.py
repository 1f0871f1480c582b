"""Score of a network by its accuracy after a short training."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.layers.nested import fast_statistics

_MOMENTUM = 0.9
"""Largest momentum of the moving statistics of batch normalisation in a short training."""


@dataclass(frozen=True)
class ShortTraining:
    """Data and settings of a short training; a call trains a network and returns its validation accuracy."""

    images: NDArray[np.float32]
    """Normalised training images of shape (n, height, width, channels); resized to the network's input size."""
    labels: NDArray[np.int64]
    """Class indices of shape (n,), from 0; the network may have more classes."""
    validation_images: NDArray[np.float32]
    """Normalised validation images of shape (m, height, width, channels)."""
    validation_labels: NDArray[np.int64]
    """Class indices of shape (m,), from 0."""
    epochs: int = 1
    """Passes over the training images."""
    batch: int = 32
    """Images per training step."""
    seed: int = 0
    """Seed of Keras' random numbers: order of the images, dropout and stochastic depth."""

    @classmethod
    def on_digits(cls, *, epochs: int = 5, batch: int = 32, seed: int = 0) -> "ShortTraining":
        """Return a short training on the 1,797 handwritten digits of scikit-learn: 1,297 to train, 500 to validate.

        The images of 8x8 pixels come with scikit-learn, so that nothing is downloaded. The score separates networks
        that learn fast from networks that learn slowly; it does not predict accuracy after a full training. After a
        single epoch deep networks are still near chance, 0.1.

        Args:
            epochs: Passes over the training images.
            batch: Images per training step.
            seed: Seed of Keras' random numbers.

        Returns:
            The training, for networks with three input channels and at least 10 classes.

        Raises:
            ModuleNotFoundError: If scikit-learn (extra ``analysis``) is not installed.
        """
        digits = import_extra("sklearn.datasets", "analysis").load_digits()
        grey = digits.images.astype(np.float32)[..., None] / 8 - 1  # from 0..16 to -1..1
        images = np.repeat(grey, 3, axis=-1)
        labels = digits.target.astype(np.int64)
        return cls(images[:-500], labels[:-500], images[-500:], labels[-500:], epochs, batch, seed)

    def __call__(self, model: keras.Model) -> float:
        """Train a network, starting from its current weights, and return its validation accuracy, 0 to 1."""
        keras.utils.set_random_seed(self.seed)
        height, width = model.input_shape[1:3]
        # Resizing in the graph holds one batch in memory; all images at a large network's size would not fit.
        resized = keras.Sequential([keras.Input(self.images.shape[1:]), layers.Resizing(height, width), model])
        resized.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        with fast_statistics(model, _MOMENTUM):
            resized.fit(self.images, self.labels, batch_size=self.batch, epochs=self.epochs, verbose=0)
        metrics = resized.evaluate(self.validation_images, self.validation_labels, verbose=0, return_dict=True)
        return float(metrics["accuracy"])
