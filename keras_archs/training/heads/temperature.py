"""Temperature scaling (Guo et al. 2017): one divisor of all logits makes probabilities shares of right answers."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra

_BOUNDS: Final = (math.log(0.02), math.log(50))


def log_probabilities(logits: NDArray[np.float64], temperature: float = 1.0) -> NDArray[np.float64]:
    """Return the logarithms [N, K] of the softmax of logits [N, K] that are divided by a temperature."""
    scaled = (logits - logits.max(axis=1, keepdims=True)) / temperature
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)))


def cross_entropy(logits: NDArray[np.float64], classes: NDArray[np.int32]) -> float:
    """Return the mean cross-entropy in nats of logits [N, K] and classes [N]."""
    return float(-log_probabilities(logits)[range(len(classes)), classes].mean())


def best_temperature(logits: NDArray[np.float64], classes: NDArray[np.int32]) -> float:
    """Return the divisor of the logits with the least cross-entropy of held-out images.

    Few images may all be answered right, and then the best divisor would be 0: each answer would be certain. So each
    right class counts as (N + 1) / (N + 2) of an answer, and the other classes share the rest, as if one more image
    had been answered right and one wrong (Platt 1999, section 2.2).

    Args:
        logits: Logits of images that no weight was fitted to, [N, K].
        classes: Class of each image, [N].

    Returns:
        The divisor; 1 if there are no images, which say nothing of the logits.
    """
    images, count = logits.shape
    if not images:
        return 1.0
    rest = 1 / (images + 2)
    targets = np.full(logits.shape, rest / (count - 1))
    targets[range(images), classes] = 1 - rest
    optimize = import_extra("scipy.optimize", "train")
    result = optimize.minimize_scalar(
        lambda logarithm: -(targets * log_probabilities(logits, math.exp(logarithm))).sum(),
        bounds=_BOUNDS,
        method="bounded",
    )
    return math.exp(result.x)
