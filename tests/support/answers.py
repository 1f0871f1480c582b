"""Answers made by hand: right classes, likeliest classes and probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from keras_archs.images.labels import Label
from keras_archs.training.data.labelled_images import LabelledImages
from keras_archs.training.evaluation.answers import UNREADABLE, Answers


def answers_of(
    right: ArrayLike,
    predicted: ArrayLike,
    *,
    classes: int | Sequence[str],
    probability: ArrayLike = 0.75,
    unreadable: Sequence[int] = (),
    root: Path = Path("/none"),
    paths: Sequence[str] | None = None,
) -> Answers:
    """Return answers.

    Args:
        right: Class of each image, [N].
        predicted: Likeliest class of each image, [N].
        classes: Number of classes, or their names.
        probability: Probability of the likeliest class, [N] or one for all; half of what is left is that of the right
            class where the answer is wrong.
        unreadable: Positions of images without an answer.
        root: Folder of the images.
        paths: Path of each image; None for numbers.
    """
    names = [f"class {number}" for number in range(classes)] if isinstance(classes, int) else classes
    right, predicted = np.array(right, np.int32), np.array(predicted, np.int32)
    stated = np.broadcast_to(np.array(probability, np.float32), right.shape).copy()
    of_right = np.where(right == predicted, stated, (1 - stated) / 2)
    rank = (right != predicted).astype(np.int32)
    lost = list(unreadable)
    predicted[lost] = rank[lost] = UNREADABLE
    stated[lost] = of_right[lost] = 0
    files = [f"{number}.png" for number in range(len(right))] if paths is None else paths
    return Answers(
        labels=tuple(map(Label, names)),
        images=LabelledImages(root, files, right),
        predicted=predicted,
        rank=rank,
        probability=stated,
        probability_of_right=of_right,
        unreadable=dict.fromkeys(lost, "The image is damaged or incomplete."),
        seconds=1.0,
    )
