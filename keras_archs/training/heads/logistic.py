"""Multinomial logistic regression on standardised features, its strength chosen by cross-validation in bounded time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.runtimes.machine import usable_cores
from keras_archs.training.heads.temperature import cross_entropy

STRENGTHS: Final = tuple(float(f"{10 ** (step / 2):.2g}") for step in range(-10, 5))
"""Inverse strengths C that may be tried, two per power of ten from 1e-5 to 100, the most regularised first.

Those below 1 / N, where N images hardly move the coefficients, are left out."""

FOLDS: Final = 5
"""Largest number of folds."""

SCORED: Final = 4000
"""Held-out images that a strength is chosen with: folds beyond that tell no more, and are left out."""

_WITHOUT_FOLDS: Final = 0.1
"""Inverse strength if each class has a single image, so that none can be held out."""

_LEAST_SPREAD: Final = 1e-4
"""Least standard deviation of a feature, relative to all features' root mean square.

Below, a feature is constant but for the rounding of float32, which its division by the deviation would blow up.
"""

_COEFFICIENTS: Final = ("coef_", "intercept_")

_PATIENCE: Final = 2
"""Strengths in a row that are worse than the best one, after which no weaker regularisation is tried."""

_AS_GOOD: Final = 1.005
"""Greatest ratio of a strength's loss to the least loss at which the stronger regularisation is preferred."""


class Trial(NamedTuple):
    """A strength that was tried."""

    strength: float
    """Inverse strength C of scikit-learn."""
    loss: float
    """Mean cross-entropy of the held-out images, in nats."""


@dataclass(frozen=True)
class LogisticHead:
    """A fitted logistic regression with its standardisation."""

    mean: NDArray[np.float64]
    """Mean of each feature, [D]."""
    scale: NDArray[np.float64]
    """Divisor of each feature, [D]: its standard deviation, or 1 for a feature that is constant."""
    regression: Any
    """scikit-learn's fitted LogisticRegression of K classes, upon standardised features."""
    trials: tuple[Trial, ...]
    """The strengths that were tried, in the order of the trials; none if no class has two images."""
    folds: int
    """Number of folds that the trials used."""
    held_out: NDArray[np.intp]
    """Positions of the images that were in the held-out part of a fold, [M]."""
    held_out_logits: NDArray[np.float64]
    """Logits of these images by the regression of their fold at the best strength, [M, K]."""

    @property
    def strength(self) -> float:
        """Inverse strength C of the regularisation."""
        return float(self.regression.C)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the logits [N, K] of features [N, D], whose softmax is scikit-learn's `predict_proba`."""
        return _logits(self.regression, (features - self.mean) / self.scale)

    def dense(self, temperature: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Fold standardisation, regression and temperature into kernel [D, K] and bias [K] of a Dense layer."""
        weights, bias = self.regression.coef_.T, self.regression.intercept_
        if weights.shape[1] == 1:  # scikit-learn has one logit for two classes
            weights, bias = weights * [-0.5, 0.5], bias * [-0.5, 0.5]
        kernel = weights / self.scale[:, np.newaxis] / temperature
        return kernel.astype(np.float32), (bias / temperature - self.mean @ kernel).astype(np.float32)


def fit_logistic(
    features: NDArray[np.float32], classes: NDArray[np.int32], *, time_limit: float = 30.0, seed: int = 0
) -> LogisticHead:
    """Fit a multinomial logistic regression to features.

    The strength of the regularisation is that of the least cross-entropy of held-out images. Regularisation is loosened
    from trial to trial, each of which begins with the coefficients of the last, until the loss gets worse or the time
    is over. There are as many folds as the smallest class has images, at most `FOLDS`; a class with a single image is
    in all training parts. Every image takes part in the standardisation and in the final fit.

    Args:
        features: Finite features, [N, D].
        classes: Class of each image, [N]: 0 to K - 1, at least two classes, each with an image.
        time_limit: Seconds after which no further strength is tried. One trial and the final fit always take place.
        seed: Seed of the division into folds.

    Raises:
        ValueError: The features are not finite, or there is only one class.
        ModuleNotFoundError: scikit-learn is not installed.
    """
    linear_model = import_extra("sklearn.linear_model", "train")
    threadpoolctl = import_extra("threadpoolctl", "train")
    deadline = time.monotonic() + time_limit
    if not np.isfinite(features).all():
        raise ValueError("the network answers with features that are not finite: its weights are damaged")
    mean = features.mean(axis=0, dtype=np.float64)
    scale = _scale(features, mean)
    standardised = ((features - mean) / scale).astype(np.float32)

    def regression(strength: float, tolerance: float) -> Any:
        return linear_model.LogisticRegression(C=strength, tol=tolerance, max_iter=1000, warm_start=True)

    # The products are small: a thread of BLAS for each fold takes a tenth of the time of several for one product
    with threadpoolctl.threadpool_limits(1):
        parts = list(_folds(classes, seed))
        held_out = np.concatenate([np.zeros(0, np.intp), *(part for _, part in parts)])
        search: _Search | None = None
        trials: tuple[Trial, ...] = ()
        if parts:
            strengths = [strength for strength in STRENGTHS if strength * len(classes) >= 1]
            folds = [_Fold(standardised, classes, part, regression(strengths[0], 1e-3)) for part in parts]
            search, trials = _search(folds, classes[held_out], strengths, deadline)
        final = regression(search.trial.strength if search else _WITHOUT_FOLDS, 1e-4)
        if search:
            final.coef_, final.intercept_ = search.coefficients
        final.fit(standardised, classes)
    final.coef_, final.intercept_ = final.coef_.astype(np.float64), final.intercept_.astype(np.float64)
    return LogisticHead(
        mean,
        scale,
        final,
        trials=trials,
        folds=len(parts),
        held_out=held_out,
        held_out_logits=search.held_out if search else np.zeros((0, classes.max() + 1)),
    )


def _scale(features: NDArray[np.float32], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    deviation = features.std(axis=0, dtype=np.float64)
    least = _LEAST_SPREAD * math.sqrt(np.mean(deviation**2 + mean**2))
    return np.where(deviation > least, deviation, 1.0)


def _folds(classes: NDArray[np.int32], seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield the positions of the images to fit to and of those to score, as many folds as `SCORED` needs."""
    selection = import_extra("sklearn.model_selection", "train")
    counts = np.bincount(classes)
    divided = np.flatnonzero(counts[classes] > 1)
    if not len(divided):
        return
    single = np.flatnonzero(counts[classes] == 1)
    number = min(FOLDS, int(counts[counts > 1].min()))
    folds = selection.StratifiedKFold(number, shuffle=True, random_state=seed).split(divided, classes[divided])
    scored = 0
    for fitted, held_out in folds:
        if scored >= SCORED:
            return
        scored += len(held_out)
        yield np.concatenate([divided[fitted], single]), divided[held_out]


class _Fold:
    """A regression that is fitted to a part of the images, and asked about the others."""

    def __init__(
        self,
        features: NDArray[np.float32],
        classes: NDArray[np.int32],
        parts: tuple[NDArray[np.intp], NDArray[np.intp]],
        regression: Any,
    ) -> None:
        fitted, held_out = parts
        self.regression = regression
        self._fitted = features[fitted], classes[fitted]
        self._held_out = features[held_out]

    def fit(self, strength: float) -> NDArray[np.float64]:
        """Fit from the last coefficients on, and return the logits of the held-out images."""
        self.regression.set_params(C=strength).fit(*self._fitted)
        return _logits(self.regression, self._held_out)


class _Search(NamedTuple):
    """A strength that was tried, and what the folds' regressions were there."""

    trial: Trial
    coefficients: tuple[Any, ...]
    """Mean coefficients and intercepts of the folds."""
    held_out: NDArray[np.float64]
    """Logits of the held-out images."""


def _search(
    folds: list[_Fold], classes: NDArray[np.int32], strengths: Sequence[float], deadline: float
) -> tuple[_Search, tuple[Trial, ...]]:
    """Try strengths in turn, and return the best one and all trials.

    Args:
        folds: At least one fold.
        classes: Classes of the held-out images of all folds.
        strengths: Strengths to try, at least one.
        deadline: Time after which no further strength is tried.
    """
    trials: list[Trial] = []
    good: list[_Search] = []
    with ThreadPoolExecutor(usable_cores()) as executor:
        for strength in strengths:
            logits = np.concatenate(list(executor.map(_Fold.fit, folds, [strength] * len(folds))))
            trials.append(Trial(strength, cross_entropy(logits, classes)))
            least = min(trials, key=lambda trial: trial.loss)
            fitted = [fold.regression for fold in folds]
            coefficients = tuple(np.mean([getattr(each, key) for each in fitted], axis=0) for key in _COEFFICIENTS)
            good.append(_Search(trials[-1], coefficients, logits))
            good = [each for each in good if each.trial.loss <= _AS_GOOD * least.loss]
            if len(trials) - trials.index(least) > _PATIENCE or time.monotonic() > deadline:
                break
    return good[0], tuple(trials)


def _logits(regression: Any, standardised: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logits [N, K]; scikit-learn has one for two classes."""
    decision = regression.decision_function(standardised)
    return decision if decision.ndim == 2 else np.stack([-decision / 2, decision / 2], axis=1)
