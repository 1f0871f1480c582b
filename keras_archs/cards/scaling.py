"""Compound scaling: rules by which a family of networks grows from one baseline.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), section 3.3: depth, width
and resolution grow together as alpha^phi, beta^phi and gamma^phi with alpha=1.2, beta=1.1 and gamma=1.15, so that
alpha * beta^2 * gamma^2 is about 2 and the cost grows as 2^phi. The paper does not print the factors of B1 to B7; the
tables below are those of the authors' code, which rounds them.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class CompoundScaling:
    """Scale of one member of a family, relative to its baseline."""

    width: float
    """Factor on the number of channels."""
    depth: float
    """Factor on the number of blocks in a stage."""
    resolution: int
    """Height and width of the input image, in pixels."""
    dropout: float
    """Dropout rate before the classifier: larger networks need more regularisation (section 5.2)."""


EFFICIENTNET = {
    "b0": CompoundScaling(1.0, 1.0, 224, 0.2),
    "b1": CompoundScaling(1.0, 1.1, 240, 0.2),
    "b2": CompoundScaling(1.1, 1.2, 260, 0.3),
    "b3": CompoundScaling(1.2, 1.4, 300, 0.3),
    "b4": CompoundScaling(1.4, 1.8, 380, 0.4),
    "b5": CompoundScaling(1.6, 2.2, 456, 0.4),
    "b6": CompoundScaling(1.8, 2.6, 528, 0.5),
    "b7": CompoundScaling(2.0, 3.1, 600, 0.5),
}

EFFICIENTNET_LITE = {
    "lite0": CompoundScaling(1.0, 1.0, 224, 0.2),
    "lite1": CompoundScaling(1.0, 1.1, 240, 0.2),
    "lite2": CompoundScaling(1.1, 1.2, 260, 0.3),
    "lite3": CompoundScaling(1.2, 1.4, 280, 0.3),
    "lite4": CompoundScaling(1.4, 1.8, 300, 0.3),
}


# B0 to B3 scale a baseline; S, M and L have tables of their own. The resolutions are for evaluation: training starts
# with smaller images (section 4.2 of "EfficientNetV2").
EFFICIENTNET_V2 = {
    "b0": CompoundScaling(1.0, 1.0, 224, 0.2),
    "b1": CompoundScaling(1.0, 1.1, 240, 0.2),
    "b2": CompoundScaling(1.1, 1.2, 260, 0.3),
    "b3": CompoundScaling(1.2, 1.4, 300, 0.3),
    "s": CompoundScaling(1.0, 1.0, 384, 0.2),
    "m": CompoundScaling(1.0, 1.0, 480, 0.3),
    "l": CompoundScaling(1.0, 1.0, 480, 0.4),
}


PAPER = (1.2, 1.1, 1.15)
"""The paper's alpha, beta and gamma for EfficientNet-B0 (section 3.3, step 1)."""

GRID = (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3)
"""Default values of a search for each of alpha, beta and gamma."""


@dataclass(frozen=True)
class Factors:
    """Factors on a baseline, as builders take them."""

    depth: float
    """Factor on the number of blocks in a stage."""
    width: float
    """Factor on the number of channels."""
    resolution: float
    """Factor on the height and width of the input."""


def compound_scale(alpha: float, beta: float, gamma: float, phi: float) -> Factors:
    """Grow depth, width and resolution together (section 3.3, equation 3).

    The multiply-adds of convolutions are proportional to depth, width squared and resolution squared. With
    alpha * beta^2 * gamma^2 = 2 they therefore grow by the factor 2^phi; see `growth`.

    Args:
        alpha: Factor on the depth for phi = 1; at least 1.
        beta: Factor on the width for phi = 1; at least 1.
        gamma: Factor on the resolution for phi = 1; at least 1.
        phi: Compound coefficient, the binary logarithm of the factor on the cost; at least 0, and 0 is the baseline.

    Returns:
        The factors alpha^phi, beta^phi and gamma^phi.

    Raises:
        ValueError: For coefficients below 1 or a phi below 0.
    """
    if bad := {name: n for name, n in {"alpha": alpha, "beta": beta, "gamma": gamma}.items() if not n >= 1}:
        raise ValueError(f"alpha, beta and gamma must be at least 1; got {bad}")
    if not phi >= 0:
        raise ValueError(f"phi must be at least 0; got {phi}")
    return Factors(alpha**phi, beta**phi, gamma**phi)


def growth(alpha: float, beta: float, gamma: float) -> float:
    """Return the factor on the multiply-adds per step of phi, before rounding: alpha * beta^2 * gamma^2."""
    return alpha * beta**2 * gamma**2


def round_filters(filters: int, width: float, divisor: int = 8, keep: float = 0.9) -> int:
    """Scale a number of channels and round it to a multiple of ``divisor``.

    Rounding goes to the nearest multiple, or up if that would lose more than a fraction 1 - ``keep`` of the channels.

    Args:
        filters: Number of channels in the baseline.
        width: Factor on the number of channels.
        divisor: Divisor and lower bound of the result.
        keep: Least fraction of the scaled channels to keep; 0 for EfficientNetV2, which always rounds to the nearest.

    Returns:
        The scaled number of channels.
    """
    scaled = filters * width
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded if rounded >= keep * scaled else rounded + divisor


def round_repeats(repeats: int, depth: float) -> int:
    """Scale the number of blocks in a stage; rounded up, so that no stage vanishes."""
    return math.ceil(repeats * depth)


def round_size(size: int, resolution: float) -> int:
    """Scale the height and width of the input; rounded to the nearest pixel."""
    return round(size * resolution)
