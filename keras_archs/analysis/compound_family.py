"""Families of networks by compound scaling: their members, and their real growth.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), section 3.3. Where the
paper computes with alpha * beta^2 * gamma^2, here multiply-adds are counted on the graphs: channels are rounded to
multiples of 8 and blocks up to whole ones, so that a family grows differently.
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
    """A builder that takes what `Factors` has, such as `keras_archs.scalable` returns."""

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
    return {phi: build_scaled(build, compound_scale(*coefficients, phi)) for phi in phis}


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
    family = sorted(members(build, phis, coefficients), key=lambda member: member.macs)
    return budget.last(
        family,
        name=lambda member: f"phi={member.phi:g}",
        cost=lambda member: (member.macs, member.parameters),
        model=lambda member: build_scaled(build, member.factors),
    )


def build_scaled(build: Scalable, factors: Factors) -> keras.Model:
    """Build the baseline, grown by these factors."""
    return build(depth=factors.depth, width=factors.width, resolution=factors.resolution)


@dataclass(frozen=True)
class ScaledCost:
    """What a grown baseline costs."""

    size: tuple[int, int]
    parameters: int
    macs: int


def scaled_cost(build: Scalable, factors: Factors = _UNSCALED) -> ScaledCost:
    """Count the baseline, grown by these factors, without giving it weights.

    Raises:
        ValueError: If we do not know what one of its layers does.
    """
    with weightless():
        model = build_scaled(build, factors)
        cost = profile(model)
    if cost.macs is None:
        raise ValueError(f"multiply-adds are unknown of {[layer.name for layer in cost.unknown]}")
    _, height, width, _ = model.input_shape
    return ScaledCost((height, width), cost.parameters, cost.macs)
