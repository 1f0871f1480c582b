"""The regression is scikit-learn's on standardised features, its strength is chosen in bounded time."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from keras_archs.training.heads import logistic
from keras_archs.training.heads.logistic import STRENGTHS, LogisticHead, fit_logistic

Digits = tuple[NDArray[np.float32], NDArray[np.int32]]


def digits(images: int, classes: int = 10) -> Digits:
    """The first handwritten digits, as 64 grey values; some pixels at the edge are always white."""
    bunch = load_digits(n_class=classes)
    return bunch.data[:images].astype(np.float32), bunch.target[:images].astype(np.int32)


@pytest.fixture(scope="module")
def head() -> LogisticHead:
    return fit_logistic(*digits(600))


def through_dense(head: LogisticHead, features: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    kernel, bias = head.dense(temperature)
    return np.asarray(softmax(features @ kernel + bias, axis=1))


@pytest.mark.parametrize("temperature", [1.0, 0.4, 2.5])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_dense_layer_answers_as_scikit_learn(classes: int, temperature: float) -> None:
    features, right = digits(300, classes)
    head = fit_logistic(features[:200], right[:200])
    standardised = (features - head.mean) / head.scale
    decision = head.regression.decision_function(standardised)
    expected = head.regression.predict_proba(standardised)
    if temperature != 1.0:
        expected = softmax((decision if classes > 2 else np.outer(decision, [0, 1])) / temperature, axis=1)
    np.testing.assert_allclose(through_dense(head, features, temperature), expected, atol=1e-5)


def test_the_regression_is_that_of_a_pipeline_of_scikit_learn(head: LogisticHead) -> None:
    features, right = digits(1000)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=head.strength, max_iter=1000))
    expected = pipeline.fit(features[:600], right[:600]).predict_proba(features[600:])
    # each solver stops near the optimum, within the tolerance that is scikit-learn's default
    assert np.abs(through_dense(head, features[600:], 1.0) - expected).mean() < 0.005


def test_constant_features_count_for_nothing() -> None:
    features, right = digits(300)
    features[:, :3] = [0.0, 5.0, -1e4]
    noise = np.random.default_rng(0).normal(scale=1e-6, size=300)
    features[:, 3] = 2 + noise  # differs in the last digits of float32 only
    kernel, bias = fit_logistic(features, right).dense()
    assert np.isfinite(kernel).all() and np.isfinite(bias).all()
    assert np.abs(kernel[:4]).max() < 1e-3 * np.abs(kernel).max()


def test_the_chosen_strength_is_the_strongest_regularisation_that_is_as_good_as_any(head: LogisticHead) -> None:
    assert {trial.strength for trial in head.trials} < set(STRENGTHS)
    losses = {trial.strength: trial.loss for trial in head.trials}
    assert losses[head.strength] <= min(losses.values()) * 1.01
    assert all(loss > losses[head.strength] for strength, loss in losses.items() if strength < head.strength)
    assert head.folds == 5


def test_without_time_left_one_strength_is_tried() -> None:
    head = fit_logistic(*digits(200), time_limit=0)
    assert [trial.strength for trial in head.trials] == [head.strength]


@pytest.mark.parametrize(("counts", "folds"), [((2, 9), 2), ((3, 3), 3), ((50, 40), 5), ((1, 20), 5), ((1, 1), 0)])
def test_there_are_as_many_folds_as_the_smallest_class_allows(counts: tuple[int, int], folds: int) -> None:
    features, right = digits(1000, 2)
    chosen = np.concatenate([np.flatnonzero(right == index)[:count] for index, count in enumerate(counts)])
    head = fit_logistic(features[chosen], right[chosen])
    assert head.folds == folds
    answers = head.logits(features).argmax(axis=1)
    assert np.mean(answers == right[: len(features)]) > 0.9


def test_a_class_of_one_image_is_in_every_training_part() -> None:
    features, right = digits(300)
    chosen = np.flatnonzero(right != 7)
    chosen = np.append(chosen, np.flatnonzero(right == 7)[0])
    head = fit_logistic(features[chosen], right[chosen])
    assert head.held_out_logits.shape == (len(chosen) - 1, 10)
    assert len(chosen) - 1 not in head.held_out


def test_many_images_need_fewer_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "SCORED", 100)
    assert fit_logistic(*digits(300)).folds == 2


def test_the_same_seed_gives_the_same_head() -> None:
    first, second = (fit_logistic(*digits(200), seed=3).dense()[0] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_features_that_are_no_numbers_are_refused() -> None:
    features, right = digits(100)
    features[5, 5] = np.nan
    with pytest.raises(ValueError, match="not finite: its weights are damaged"):
        fit_logistic(features, right)
