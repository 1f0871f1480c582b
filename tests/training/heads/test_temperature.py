"""A temperature makes probabilities shares of right answers, and few images do not make answers certain."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import log_softmax

from keras_archs.training.heads.temperature import best_temperature, cross_entropy, log_probabilities


def drawn(images: int, divisor: float) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Logits, and classes that are drawn with the probabilities of the logits divided by `divisor`."""
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(images, 5)) * 4
    probabilities = np.exp(log_softmax(logits / divisor, axis=1))
    classes = (probabilities.cumsum(axis=1) < generator.random((images, 1))).sum(axis=1)
    return logits, np.minimum(classes, 4).astype(np.int32)


@pytest.mark.parametrize("divisor", [0.5, 1.0, 3.0])
def test_the_divisor_that_the_classes_were_drawn_with_is_found(divisor: float) -> None:
    assert best_temperature(*drawn(20_000, divisor)) == pytest.approx(divisor, rel=0.05)


def test_the_temperature_lowers_the_cross_entropy() -> None:
    logits, classes = drawn(5_000, 3.0)
    assert cross_entropy(logits / best_temperature(logits, classes), classes) < cross_entropy(logits, classes) - 0.1


@pytest.mark.parametrize("images", [1, 5, 50])
def test_few_images_that_are_all_answered_right_leave_a_doubt(images: int) -> None:
    classes = (np.arange(images) % 3).astype(np.int32)
    logits = 10 * np.eye(3)[classes]
    probabilities = np.exp(log_probabilities(logits, best_temperature(logits, classes)))
    assert probabilities.max() == pytest.approx((images + 1) / (images + 2), abs=0.01)


def test_without_images_the_logits_stay_as_they_are() -> None:
    assert best_temperature(np.zeros((0, 3)), np.zeros(0, np.int32)) == 1.0


def test_log_probabilities_are_those_of_scipy_for_logits_of_any_size() -> None:
    logits = np.array([[1000.0, 0.0, -1000.0], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(log_probabilities(logits, 2.0), log_softmax(logits / 2, axis=1), atol=1e-12)
