"""Reliability compares stated probabilities with shares of right answers, and knows what chance does."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from keras_archs.training.evaluation.proportion import Proportion
from keras_archs.training.evaluation.reliability import Bin, Reliability, reliability
from tests.support.answers import answers_of


def drawn(count: int, *, seed: int, surer: float = 0.0) -> Reliability:
    """Return the reliability of a network that is right as often as it says, or less often by `surer`."""
    random = np.random.default_rng(seed)
    probability = random.uniform(0.3, 1, count)
    is_right = random.uniform(size=count) < probability - surer
    return reliability(answers_of(np.zeros(count), np.where(is_right, 0, 1), classes=2, probability=probability))


def test_bins_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    probability = np.concatenate([random.uniform(size=500), np.linspace(0, 1, 11)]).astype(np.float32)
    predicted = random.integers(0, 2, len(probability))
    answers = answers_of(np.zeros(len(probability)), predicted, classes=2, probability=probability)
    bins = reliability(answers).bins
    shares, means = calibration_curve(predicted == 0, probability.astype(np.float64), n_bins=10)
    assert [each.right.value for each in bins] == pytest.approx(shares)
    assert [each.probability for each in bins] == pytest.approx(means)
    assert [each.low for each in bins] == pytest.approx(np.arange(10) / 10)
    assert [each.high for each in bins] == pytest.approx(np.arange(1, 11) / 10)


def test_the_error_is_the_mean_difference_over_images() -> None:
    bins = (Bin(0.4, 0.5, 0.5, Proportion(3, 10)), Bin(0.8, 0.9, 0.9, Proportion(27, 30)))
    measured = Reliability(bins)
    assert measured.error == pytest.approx((10 * 0.2 + 30 * 0) / 40)
    assert measured.probability == pytest.approx(0.8)
    assert measured.right == Proportion(30, 40)


def test_images_without_an_answer_do_not_count() -> None:
    answers = answers_of([0, 0, 0], [0, 1, 0], classes=2, probability=[0.9, 0.9, 0.1], unreadable=(2,))
    assert reliability(answers).right == Proportion(1, 2)


def test_a_network_of_true_probabilities_shows_the_error_of_chance() -> None:
    measured = [drawn(150, seed=seed) for seed in range(200)]
    assert np.mean([each.error for each in measured]) == pytest.approx(
        np.mean([each.error_by_chance for each in measured]), rel=0.1
    )


def test_a_network_that_is_too_sure_shows_more_than_chance() -> None:
    measured = drawn(2000, seed=0, surer=0.2)
    assert measured.error == pytest.approx(0.2, abs=0.02)
    assert measured.error > 3 * measured.error_by_chance


@pytest.mark.parametrize("probability", [0.0, 1.0, np.nan, 1 - 2**-24])
def test_extreme_probabilities_are_no_trouble(probability: float) -> None:
    measured = reliability(answers_of([0, 0, 1], [0, 0, 0], classes=2, probability=probability))
    assert measured.right == Proportion(2, 3)
    assert 0 <= measured.error <= 1
    assert measured.error_by_chance == pytest.approx(0, abs=1e-6)
