"""How the answers of an int8 graph differ from those of its float32 graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.quantization.parallel import results_of
from keras_archs.repository.quantization import AccuracyChange, Agreement
from keras_archs.runtimes.runtime import Infer
from keras_archs.training.data.labelled_images import LabelledImages


def agreement(expected: NDArray[np.float32], received: NDArray[np.float32], *, multi_label: bool) -> Agreement:
    """Compare answers to the same pictures.

    Args:
        expected: Probabilities in float32, [N, classes].
        received: Probabilities in int8, [N, classes].
        multi_label: Whether a picture may show several classes.
    """
    largest = np.abs(expected - received).max(axis=1)
    if multi_label:
        agrees = ((expected >= 0.5) == (received >= 0.5)).all(axis=1)
    else:
        agrees = expected.argmax(axis=1) == received.argmax(axis=1)
    return Agreement(
        pictures=len(expected),
        top1=float(agrees.mean()),
        largest_difference=float(min(largest.max(), 1.0)),  # rounding may bring a difference of 1 above 1
        mean_difference=float(min(largest.mean(), 1.0)),
    )


def answers(infer: Infer, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Compute the probabilities [N, classes] of images [N, H, W, C], one at a time, in threads."""
    return np.concatenate(results_of(lambda number: infer(images[number : number + 1]), range(len(images))))


def accuracy(float32: Infer, int8: Infer, images: LabelledImages, preprocessing: Preprocessing) -> AccuracyChange:
    """Measure the top-1 accuracy of both graphs on the same pictures.

    Args:
        float32: The float32 graph.
        int8: The int8 graph.
        images: Pictures and their classes.
        preprocessing: Steps from an image file to the input.

    Raises:
        ImageError: A picture is damaged.
        OSError: A picture cannot be read.
    """

    def are_right(position: int) -> tuple[bool, bool]:
        pixels = load_image(images.root / images.paths[position], preprocessing)[np.newaxis]
        expected = images.classes[position]
        return bool(float32(pixels).argmax() == expected), bool(int8(pixels).argmax() == expected)

    right = results_of(are_right, range(len(images.paths)))
    before, after = np.mean(right, axis=0).tolist()
    return AccuracyChange(pictures=len(right), float32=before, int8=after)
