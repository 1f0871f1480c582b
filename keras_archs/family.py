"""Families of networks by compound scaling: their members, their real growth, and the search for coefficients.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), section 3.3. Where the
paper computes with alpha * beta^2 * gamma^2, here multiply-adds are counted on the graphs: channels are rounded to
multiples of 8 and blocks up to whole ones, so that a family grows differently.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from keras_archs.budget import Budget
from keras_archs.cost import Cost, profile
from keras_archs.scaling import PAPER, Factors, compound_scale, growth


class Scalable(Protocol):
    """A builder that takes what `Factors` has: `keras_archs.EfficientNet` is one."""

    def __call__(self, *, depth: float, width: float, resolution: float) -> keras.Model:
        """Build the baseline, grown by these factors."""


@dataclass(frozen=True)
class Member:
    """One network of a family."""

    phi: float
    factors: Factors
    size: tuple[int, int]
    """Height and width of its input."""
    parameters: int
    macs: int
    growth: float
    """Its multiply-adds relative to the baseline's; the idea is 2^phi."""


def scale_family(
    build: Scalable, phis: Iterable[float], coefficients: tuple[float, float, float] = PAPER
) -> dict[float, keras.Model]:
    """Build the members of a family.

    Args:
        build: Builder of the baseline at any scale.
        phis: Which members; 0 is the baseline.
        coefficients: alpha, beta and gamma.

    Returns:
        The models by phi.
    """
    return {phi: _build(build, compound_scale(*coefficients, phi)) for phi in phis}


def members(
    build: Scalable, phis: Iterable[float], coefficients: tuple[float, float, float] = PAPER
) -> tuple[Member, ...]:
    """Count the members of a family without giving them weights.

    Args:
        build: Builder of the baseline at any scale.
        phis: Which members.
        coefficients: alpha, beta and gamma.

    Returns:
        The members, in the order of ``phis``.
    """
    baseline = _baseline_macs(build)
    counted = []
    for phi in phis:
        factors = compound_scale(*coefficients, phi)
        size, cost = _count(build, factors)
        counted.append(Member(phi, factors, size, cost.parameters, _macs(cost), _macs(cost) / baseline))
    return tuple(counted)


def member_for_budget(
    build: Scalable,
    phis: Iterable[float],
    budget: Budget,
    coefficients: tuple[float, float, float] = PAPER,
) -> Member:
    """Return the largest member that a budget allows.

    Args:
        build: Builder of the baseline at any scale.
        phis: The members to choose from.
        budget: What there is.
        coefficients: alpha, beta and gamma.

    Returns:
        The member.

    Raises:
        ValueError: If none fits; the message names the nearest.
    """
    family = sorted(members(build, phis, coefficients), key=lambda member: -member.macs)
    return budget.first(
        family,
        name=lambda member: f"phi={member.phi:g}",
        cost=lambda member: (member.macs, member.parameters),
        model=lambda member: _build(build, member.factors),
    )


@dataclass(frozen=True)
class Candidate:
    """Coefficients that keep the budget."""

    alpha: float
    beta: float
    gamma: float
    growth: float
    """Factor on the multiply-adds for each step of phi, counted on graphs."""
    formula: float
    """The same by alpha * beta^2 * gamma^2."""
    score: float


GRID = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)


def search_coefficients(
    build: Scalable,
    score: Callable[[keras.Model], float],
    *,
    target: float = 2.0,
    tolerance: float = 0.05,
    counted_at: float = 4,
    alphas: Sequence[float] = GRID,
    betas: Sequence[float] = GRID,
    gammas: Sequence[float] = GRID,
) -> list[Candidate]:
    """Search the coefficients of a baseline by a small grid (section 3.3, step 1).

    For phi = 1 alone, rounding would decide what is allowed: of EfficientNet-B0's stages most have 1 to 3 blocks, and
    with the paper's coefficients the real multiply-adds are 2.57 times as many, not 1.92. What a step of phi costs is
    therefore counted on a larger member, and the score is that of the member with phi = 1.

    Args:
        build: Builder of the baseline at any scale.
        score: How good a network is, more being better; `ShortTraining` is one.
        target: How many times the multiply-adds each step of phi is to need.
        tolerance: By which part of ``target`` a candidate's growth, as counted, may miss it.
        counted_at: The phi of the member that is counted.
        alphas: Factors on the depth to try.
        betas: Factors on the width to try.
        gammas: Factors on the resolution to try.

    Returns:
        The candidates within the tolerance, the best first.

    Raises:
        ValueError: If there are none; the message names the nearest.
    """
    baseline = _baseline_macs(build)
    feasible, missed = [], []
    for coefficients in product(alphas, betas, gammas):
        formula = growth(*coefficients)
        if not 0.8 < formula / target < 1.25:  # rounding hardly changes it as much, and counting takes seconds
            continue
        macs = _macs(_count(build, compound_scale(*coefficients, counted_at))[1])
        counted = (macs / baseline) ** (1 / counted_at)
        miss = abs(counted / target - 1)
        if miss <= tolerance:
            feasible.append((*coefficients, counted, formula))
        else:
            missed.append((miss, f"{coefficients}, which grows {counted:.3f} times"))
    if not feasible:
        nearest = f"the nearest is {min(missed)[1]}" if missed else "the formula rules out all of the grid"
        raise ValueError(f"no coefficients grow {target:g} times within {tolerance:.0%}; {nearest}")
    scored = [Candidate(*found, score=score(_build(build, compound_scale(*found[:3], 1)))) for found in feasible]
    return sorted(scored, key=lambda candidate: -candidate.score)


@dataclass(frozen=True)
class ShortTraining:
    """Scores a network by its accuracy after a short training."""

    images: NDArray[np.float32]
    """Of shape (n, height, width, channels), normalised; resized to what a network takes."""
    labels: NDArray[np.int64]
    validation_images: NDArray[np.float32]
    validation_labels: NDArray[np.int64]
    epochs: int = 1
    batch: int = 32
    seed: int = 0

    def __call__(self, model: keras.Model) -> float:
        """Train the network from its present weights on, and return its accuracy on the other images, 0 to 1."""
        keras.utils.set_random_seed(self.seed)
        model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
        model.fit(self._resized(model, self.images), self.labels, batch_size=self.batch, epochs=self.epochs, verbose=0)
        results = model.evaluate(
            self._resized(model, self.validation_images), self.validation_labels, verbose=0, return_dict=True
        )
        return float(results["accuracy"])

    def _resized(self, model: keras.Model, images: NDArray[np.float32]) -> NDArray[np.float32]:
        size = model.input_shape[1:3]
        if images.shape[1:3] == size:
            return images
        resized: NDArray[np.float32] = keras.ops.convert_to_numpy(keras.ops.image.resize(images, size))
        return resized


def _build(build: Scalable, factors: Factors) -> keras.Model:
    return build(depth=factors.depth, width=factors.width, resolution=factors.resolution)


def _count(build: Scalable, factors: Factors) -> tuple[tuple[int, int], Cost]:
    with keras.StatelessScope(initialize_variables=False):  # counting needs no values
        model = _build(build, factors)
        _, height, width, _ = model.input_shape
        return (height, width), profile(model)


def _baseline_macs(build: Scalable) -> int:
    _, cost = _count(build, Factors(1, 1, 1))
    return _macs(cost)


def _macs(cost: Cost) -> int:
    if cost.macs is None:
        raise ValueError(f"multiply-adds are unknown of {[layer.name for layer in cost.unknown]}")
    return cost.macs
