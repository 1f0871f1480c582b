"""How many images of each class got each answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keras_archs.training.evaluation.answers import UNREADABLE, Answers


def confusion_matrix(answers: Answers) -> NDArray[np.int64]:
    """Return the number of images by right class and answer, [K, K]; images without an answer do not count."""
    size = len(answers.labels)
    answered = answers.rank != UNREADABLE
    pairs = answers.images.classes[answered].astype(np.int64) * size + answers.predicted[answered]
    return np.bincount(pairs, minlength=size * size).reshape(size, size)
