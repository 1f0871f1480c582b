"""How the answers of an int8 graph differ from those of its float32 graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.decoding import load_image
from keras_archs.images.errors import ImageError
from keras_archs.images.preprocessing import Preprocessing
from keras_archs.repository.quantization import AccuracyChange, Agreement
from keras_archs.runtimes.runtime import Infer
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.data.parallel import in_threads


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
    received: list[NDArray[np.float32] | None] = [None] * len(images)

    def work(taken: range) -> None:
        for position in taken:
            received[position] = infer(images[position : position + 1])

    in_threads(work, len(images))
    return np.concatenate([answer for answer in received if answer is not None])


def accuracy(float32: Infer, int8: Infer, images: LabelledImages, preprocessing: Preprocessing) -> AccuracyChange:
    """Measure the top-1 accuracy of both graphs on the same pictures. Pictures that cannot be read do not count.

    Args:
        float32: The float32 graph.
        int8: The int8 graph.
        images: Pictures and their classes.
        preprocessing: Steps from an image file to the input.

    Raises:
        ValueError: No picture can be read.
    """
    right: list[tuple[bool, bool] | None] = [None] * len(images.paths)

    def work(taken: range) -> None:
        for position in taken:
            try:
                pixels = load_image(images.root / images.paths[position], preprocessing)[np.newaxis]
            except (ImageError, OSError):
                continue
            expected = images.classes[position]
            right[position] = (
                bool(float32(pixels).argmax() == expected),
                bool(int8(pixels).argmax() == expected),
            )

    in_threads(work, len(right))
    read = [both for both in right if both is not None]
    if not read:
        raise ValueError(f"none of {len(right):,} labelled pictures can be read; the first: {images.paths[0]}")
    before, after = np.mean(read, axis=0).tolist()
    return AccuracyChange(pictures=len(read), float32=before, int8=after)
