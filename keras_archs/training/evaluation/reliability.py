"""Whether a network's probabilities are the shares of right answers that they claim to be."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, lgamma, log
from typing import Final

import numpy as np

from keras_archs.training.evaluation.answers import UNREADABLE, Answers
from keras_archs.training.evaluation.proportion import Proportion

BINS: Final = 10


@dataclass(frozen=True)
class Bin:
    """Answers whose probabilities are about the same."""

    low: float
    """Lower bound of the probability, excluded."""
    high: float
    """Upper bound of the probability, included."""
    probability: float
    """Mean probability of the answers, 0 to 1."""
    right: Proportion
    """The right answers."""


@dataclass(frozen=True)
class Reliability:
    """Stated probabilities beside shares of right answers (Guo et al. 2017, section 2)."""

    bins: tuple[Bin, ...]
    """The bins that have an image, by probability."""

    @property
    def right(self) -> Proportion:
        """All right answers."""
        return Proportion(sum(each.right.count for each in self.bins), sum(each.right.total for each in self.bins))

    @property
    def probability(self) -> float:
        """Mean probability of all answers, 0 to 1."""
        return sum(each.probability * each.right.total for each in self.bins) / self.right.total

    @property
    def error(self) -> float:
        """Expected calibration error: mean difference of probability and share of right answers, 0 to 1."""
        return sum(abs(each.probability - each.right.value) * each.right.total for each in self.bins) / self.right.total

    @property
    def error_by_chance(self) -> float:
        """Expected calibration error that a network of true probabilities would show with as many images, 0 to 1."""
        return sum(_mean_deviation(each.right.total, each.probability) for each in self.bins) / self.right.total


def reliability(answers: Answers, bins: int = BINS) -> Reliability:
    """Divide the answers into bins of equal width by their probability.

    Args:
        answers: Answers of a network.
        bins: Number of bins, at least 1.
    """
    answered = answers.rank != UNREADABLE
    # a network that overflows answers with no number
    probability = np.nan_to_num(answers.probability[answered].astype(np.float64))
    right = answers.rank[answered] == 0
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], probability, side="left")
    return Reliability(
        tuple(
            Bin(
                float(edges[number]),
                float(edges[number + 1]),
                float(probability[inside].mean()),
                Proportion(int(right[inside].sum()), int(inside.sum())),
            )
            for number in range(bins)
            if (inside := place == number).any()
        )
    )


def _mean_deviation(trials: int, probability: float) -> float:
    """Return the mean absolute difference of a binomial variable from its mean (De Moivre 1730)."""
    if not 0 < probability < 1:
        return 0.0
    least = min(floor(trials * probability) + 1, trials)
    logarithm = (
        lgamma(trials + 1)
        - lgamma(least + 1)
        - lgamma(trials - least + 1)
        + least * log(probability)
        + (trials - least + 1) * log(1 - probability)
    )
    return 2 * least * exp(logarithm)
