"""Loss and accuracy on validation images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import keras
import numpy as np
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.data.parallel import in_threads
from keras_archs.training.data.unreadable import why_unreadable
from keras_archs.training.tuning.distributed import ALONE, Team

MEMORY: Final = 1_000_000_000
"""Bytes of decoded images that are kept from one validation to the next; more images are decoded anew each time."""

_LEAST_PROBABILITY: Final = 1e-7
"""Probability that stands for smaller ones in the loss, as in Keras."""


class Score(NamedTuple):
    """Result of a validation."""

    loss: float
    """Cross-entropy in nats, without label smoothing."""
    accuracy: float
    """Share of right answers, 0 to 1."""


class Validation:
    """Measures a network on images, prepared as in inference.

    Args:
        images: The images.
        preprocessing: Size and normalisation.
        batch: Images that are inferred together.
        team: The processes that infer them together.
    """

    def __init__(self, images: LabelledImages, preprocessing: Preprocessing, batch: int, team: Team = ALONE) -> None:
        self.unreadable: dict[str, str] = {}
        """Why an image could not be read, by its path, of the images that were needed so far."""
        self._images = images
        self._preprocessing = preprocessing
        self._batch = batch
        self._team = team
        self._kept: NDArray[np.uint8] | None = None

    def measure(self, model: keras.Model, is_cancelled: Callable[[], bool] = lambda: False) -> Score | None:
        """Return loss and accuracy over the readable images; None if cancelled.

        Args:
            model: A network that answers with probabilities.
            is_cancelled: Asked before each batch whether the result is still wanted.

        Raises:
            ValueError: No image can be read, or the network's answers are no probabilities.
        """
        losses: list[NDArray[np.float64]] = []
        right = 0
        for first, pixels in self._batches():
            if is_cancelled():
                return None
            paths = self._images.paths[first : first + len(pixels)]
            readable = np.array([path not in self.unreadable for path in paths])
            padded = np.zeros((self._batch, *pixels.shape[1:]), np.uint8)  # one shape: one compiled function
            padded[: len(pixels)] = pixels
            answers = self._team.predict(model, self._preprocessing.normalize(padded))
            probabilities = np.asarray(answers, np.float64)[: len(pixels)][readable]
            classes = self._images.classes[first : first + len(pixels)][readable]
            if np.isfinite(probabilities).all() and not np.allclose(probabilities.sum(axis=1), 1, atol=0.02):
                raise ValueError(
                    "the network must answer with probabilities, which add up to 1 for each image: build it with "
                    'classifier_activation="softmax"'
                )
            given = probabilities[np.arange(len(classes)), classes]
            losses.append(-np.log(np.clip(given, _LEAST_PROBABILITY, 1)))
            right += int((probabilities.argmax(axis=1) == classes).sum())
        all_losses = np.concatenate(losses)
        if not len(all_losses):
            path, reason = min(self.unreadable.items())
            raise ValueError(f"none of the {len(self._images.paths)} validation images can be read; {path}: {reason}")
        return Score(float(all_losses.mean()), right / len(all_losses))

    def _batches(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the pixels of each batch with the position of its first image."""
        count = len(self._images.paths)
        if self._kept is None and self._bytes <= MEMORY:
            self._kept = self._decode(range(count))
        for first in range(0, count, self._batch):
            positions = range(first, min(first + self._batch, count))
            yield first, self._decode(positions) if self._kept is None else self._kept[positions.start : positions.stop]

    def _decode(self, positions: range) -> NDArray[np.uint8]:
        pixels = np.zeros((len(positions), *self._preprocessing.size, self._preprocessing.channels), np.uint8)

        def decode(rows: range) -> None:
            for row in rows:
                path = self._images.paths[positions[row]]
                try:
                    pixels[row] = load_image(self._images.root / path, self._preprocessing)
                except (ImageError, OSError) as error:
                    self.unreadable[path] = why_unreadable(error)

        in_threads(decode, len(positions))
        return pixels

    @property
    def _bytes(self) -> int:
        return len(self._images.paths) * math.prod(self._preprocessing.size) * self._preprocessing.channels
