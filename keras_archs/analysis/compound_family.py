"""Families of networks by compound scaling, and the counted growth of their cost.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), section 3.3. The paper
computes growth as alpha * beta^2 * gamma^2; here multiply-adds are counted on the graphs, whose channels are rounded
to multiples of 8 and whose blocks are rounded up to whole ones.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import keras

from keras_archs.analysis.budget import Budget
from keras_archs.analysis.cost import profile
from keras_archs.analysis.weightless import weightless
from keras_archs.cards.scaling import PAPER, Factors, compound_scale

_UNSCALED = Factors(1, 1, 1)


class Scalable(Protocol):
    """Builder of a baseline at any scale, such as `keras_archs.EfficientNet` or a result of `keras_archs.scalable`."""

    def __call__(self, *, depth: float, width: float, resolution: float) -> keras.Model:
        """Build the baseline with its depth, width and resolution multiplied by these factors."""


@dataclass(frozen=True)
class Member:
    """Counts of one network of a family."""

    phi: float
    factors: Factors
    """Factors on the baseline's depth, width and resolution."""
    size: tuple[int, int]
    """Height and width of the input in pixels."""
    parameters: int
    """Parameters, trainable or not."""
    macs: int
    """Multiply-adds for one image."""
    growth: float
    """Multiply-adds relative to the baseline's; ideally 2^phi."""


def scale_family(
    build: Scalable, phis: Iterable[float], coefficients: tuple[float, float, float] = PAPER
) -> dict[float, keras.Model]:
    """Build the members of a family.

    Args:
        build: Builder of the baseline at any scale.
        phis: phi of each member, at least 0; 0 is the baseline.
        coefficients: alpha, beta and gamma, each at least 1.

    Returns:
        The models by phi.
    """
    return {phi: build_scaled(build, compound_scale(*coefficients, phi)) for phi in phis}


def members(
    build: Scalable, phis: Iterable[float], coefficients: tuple[float, float, float] = PAPER
) -> tuple[Member, ...]:
    """Count parameters and multiply-adds of a family's members without allocating weights.

    Args:
        build: Builder of the baseline at any scale.
        phis: phi of each member, at least 0; 0 is the baseline.
        coefficients: alpha, beta and gamma, each at least 1.

    Returns:
        The members, in the order of ``phis``.
    """
    baseline = scaled_cost(build)
    counted = []
    for phi in phis:
        factors = compound_scale(*coefficients, phi)
        cost = scaled_cost(build, factors)
        counted.append(Member(phi, factors, cost.size, cost.parameters, cost.macs, cost.macs / baseline.macs))
    return tuple(counted)


def member_for_budget(
    build: Scalable,
    phis: Iterable[float],
    budget: Budget,
    coefficients: tuple[float, float, float] = PAPER,
) -> Member:
    """Return the largest member within a budget.

    Args:
        build: Builder of the baseline at any scale.
        phis: phi of each member to choose from, at least 0; 0 is the baseline.
        budget: Bounds on multiply-adds, parameters and latency.
        coefficients: alpha, beta and gamma, each at least 1.

    Returns:
        The member.

    Raises:
        ValueError: If no member fits; the message names the nearest.
    """
    family = sorted(members(build, phis, coefficients), key=lambda member: member.macs)
    return budget.last(
        family,
        name=lambda member: f"phi={member.phi:g}",
        cost=lambda member: (member.macs, member.parameters),
        model=lambda member: build_scaled(build, member.factors),
    )


def build_scaled(build: Scalable, factors: Factors) -> keras.Model:
    """Build the baseline, scaled by these factors."""
    return build(depth=factors.depth, width=factors.width, resolution=factors.resolution)


@dataclass(frozen=True)
class ScaledCost:
    """Counts of a scaled baseline."""

    size: tuple[int, int]
    """Height and width of the input in pixels."""
    parameters: int
    macs: int


def scaled_cost(build: Scalable, factors: Factors = _UNSCALED) -> ScaledCost:
    """Count a scaled baseline without allocating weights.

    Raises:
        ValueError: If the multiply-adds of a layer are unknown.
    """
    with weightless():
        model = build_scaled(build, factors)
        cost = profile(model)
    if cost.macs is None:
        raise ValueError(f"multiply-adds are unknown for the layers {[layer.name for layer in cost.unknown]}")
    _, height, width, _ = model.input_shape
    return ScaledCost((height, width), cost.parameters, cost.macs)
