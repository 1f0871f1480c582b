"""How good a network is after a short training: what scores the candidates of a search."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.layers import Recomputed, StochasticResidual

_MOMENTUM = 0.9
"""Of the normalisations' statistics, in a short training."""


@dataclass(frozen=True)
class ShortTraining:
    """Scores a network by its accuracy after a short training."""

    images: NDArray[np.float32]
    """Of shape (n, height, width, channels), normalised; resized to what a network takes."""
    labels: NDArray[np.int64]
    """Of shape (n,), from 0; a network may have more classes."""
    validation_images: NDArray[np.float32]
    validation_labels: NDArray[np.int64]
    epochs: int = 1
    batch: int = 32
    seed: int = 0

    @classmethod
    def on_digits(cls, *, epochs: int = 5, batch: int = 32, seed: int = 0) -> "ShortTraining":
        """Train on scikit-learn's handwritten digits: 1,297 of its 1,797 images of 8x8 pixels, the others to validate.

        They come with the package, so that nothing is downloaded. They tell networks that learn fast from ones that do
        not, and not which would be better in the end. After a single epoch deep networks are still near chance, 0.1.

        Args:
            epochs: How often each image is seen.
            batch: Images in a step.
            seed: Of the order in training.

        Returns:
            The scoring, for networks with three channels and at least 10 classes.

        Raises:
            ModuleNotFoundError: Without scikit-learn, which the extra ``analysis`` installs.
        """
        digits = import_extra("sklearn.datasets", "analysis").load_digits()
        grey = digits.images.astype(np.float32)[..., None] / 8 - 1  # 0 to 16
        images = np.repeat(grey, 3, axis=-1)
        labels = digits.target.astype(np.int64)
        return cls(images[:-500], labels[:-500], images[-500:], labels[-500:], epochs, batch, seed)

    def __call__(self, model: keras.Model) -> float:
        """Train the network from its present weights on, and return its accuracy on the other images, 0 to 1."""
        keras.utils.set_random_seed(self.seed)
        height, width = model.input_shape[1:3]
        # Resized in the graph, a batch at a time: all images at a large network's size would fill the memory.
        resized = keras.Sequential([keras.Input(self.images.shape[1:]), layers.Resizing(height, width), model])
        resized.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        with _quick_statistics(model):
            resized.fit(self.images, self.labels, batch_size=self.batch, epochs=self.epochs, verbose=0)
        results = resized.evaluate(self.validation_images, self.validation_labels, verbose=0, return_dict=True)
        return float(results["accuracy"])


@contextmanager
def _quick_statistics(model: keras.Model) -> Iterator[None]:
    """Networks' own momenta, 0.9 to 0.9997, average statistics over more steps than a short training may have."""
    momenta = {one: one.momentum for one in _normalisations(model)}
    try:
        for normalisation in momenta:
            normalisation.momentum = _MOMENTUM
        yield
    finally:
        for normalisation, momentum in momenta.items():
            normalisation.momentum = momentum


def _normalisations(model: keras.Model) -> Iterator[layers.BatchNormalization]:
    for layer in model.layers:
        inner = layer.branch if isinstance(layer, StochasticResidual | Recomputed) else layer
        if isinstance(inner, keras.Model):
            yield from _normalisations(inner)
        elif isinstance(inner, layers.BatchNormalization):
            yield inner
