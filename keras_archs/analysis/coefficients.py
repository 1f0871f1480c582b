"""The search for a baseline's coefficients of compound scaling.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), section 3.3, step 1: of a
grid of alpha, beta and gamma, those that keep the budget are tried. The paper's budget is a formula,
alpha * beta^2 * gamma^2 of about 2; here multiply-adds are counted on the graphs.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product

import keras

from keras_archs.analysis.compound_family import Scalable, build_scaled, scaled_cost
from keras_archs.analysis.short_training import ShortTraining
from keras_archs.cards.scaling import GRID, compound_scale, growth


@dataclass(frozen=True)
class Feasible:
    """Coefficients that keep the budget."""

    alpha: float
    beta: float
    gamma: float
    growth: float
    """Factor on the multiply-adds for each step of phi, counted on graphs."""
    formula: float
    """The same by alpha * beta^2 * gamma^2."""


@dataclass(frozen=True)
class Candidate(Feasible):
    """Coefficients that keep the budget, and how good the network with phi = 1 is."""

    score: float


def feasible_coefficients(
    build: Scalable,
    *,
    target: float = 2.0,
    tolerance: float = 0.05,
    counted_at: float = 4,
    alphas: Sequence[float] = GRID,
    betas: Sequence[float] = GRID,
    gammas: Sequence[float] = GRID,
) -> list[Feasible]:
    """Return the coefficients of a grid that keep the budget, by real counts.

    For phi = 1 alone, rounding would decide what is allowed: of EfficientNet-B0's stages most have 1 to 3 blocks, and
    with the paper's coefficients the real multiply-adds are 2.57 times as many, not 1.92. What a step of phi costs is
    therefore counted on a larger member. For each alpha and beta the gammas are bisected, since a larger image never
    costs less: about half of the grid is counted, each point in a second or two.

    Args:
        build: Builder of the baseline at any scale.
        target: How many times the multiply-adds each step of phi is to need.
        tolerance: By which part of ``target`` the growth, as counted, may miss it.
        counted_at: The phi of the member that is counted; its growth's root of as high a degree is a step's.
        alphas: Factors on the depth to try.
        betas: Factors on the width to try.
        gammas: Factors on the resolution to try.

    Returns:
        All points within the tolerance, by alpha, beta and gamma.

    Raises:
        ValueError: If there are none, the message naming the nearest; or if the grid is empty.
    """
    if not all(map(len, (alphas, betas, gammas))):
        raise ValueError(f"the grid is empty: alphas={alphas}, betas={betas}, gammas={gammas}")
    baseline = scaled_cost(build).macs
    counted: dict[tuple[float, float, float], float] = {}

    def real(alpha: float, beta: float, gamma: float) -> float:
        point = (alpha, beta, gamma)
        if point not in counted:
            macs = scaled_cost(build, compound_scale(*point, counted_at)).macs
            counted[point] = (macs / baseline) ** (1 / counted_at)
        return counted[point]

    found = []
    sizes = sorted(gammas)
    for alpha, beta in product(sorted(alphas), sorted(betas)):
        of_gamma = partial(real, alpha, beta)
        first = bisect_left(sizes, target * (1 - tolerance), key=of_gamma)
        last = bisect_right(sizes, target * (1 + tolerance), lo=first, key=of_gamma)
        found += [(alpha, beta, gamma) for gamma in sizes[first:last]]
    if not found:
        nearest = min(counted, key=lambda point: abs(counted[point] - target))
        raise ValueError(
            f"no coefficients grow {target:g} times within {tolerance:.0%}; "
            f"the nearest is {nearest}, which grows {counted[nearest]:.3f} times"
        )
    return [Feasible(*point, growth=real(*point), formula=growth(*point)) for point in found]


def search_coefficients(
    build: Scalable,
    score: Callable[[keras.Model], float] | None = None,
    *,
    target: float = 2.0,
    tolerance: float = 0.05,
    counted_at: float = 4,
    alphas: Sequence[float] = GRID,
    betas: Sequence[float] = GRID,
    gammas: Sequence[float] = GRID,
) -> list[Candidate]:
    """Search the coefficients of a baseline by a small grid (section 3.3, step 1).

    Args:
        build: Builder of the baseline at any scale.
        score: How good a network is, more being better; None for `ShortTraining.on_digits`. It scores the member with
            phi = 1 of each candidate, and on a CPU takes minutes for each unless ``build`` makes a small baseline, for
            instance by calling a builder with a quarter of ``width`` and a seventh of ``resolution``.
        target: As `feasible_coefficients` has it, and so are the others.
        tolerance: By which part of ``target`` the growth may miss it.
        counted_at: The phi of the member that is counted.
        alphas: Factors on the depth to try.
        betas: Factors on the width to try.
        gammas: Factors on the resolution to try.

    Returns:
        The candidates within the tolerance, the best first.

    Raises:
        ValueError: If there are none; the message names the nearest.
        ModuleNotFoundError: Without a score and without scikit-learn, which the extra ``analysis`` installs.
    """
    score = score or ShortTraining.on_digits()
    found = feasible_coefficients(
        build,
        target=target,
        tolerance=tolerance,
        counted_at=counted_at,
        alphas=alphas,
        betas=betas,
        gammas=gammas,
    )
    scored = []
    for point in found:
        model = build_scaled(build, compound_scale(point.alpha, point.beta, point.gamma, 1))
        scored.append(Candidate(**asdict(point), score=score(model)))
    return sorted(scored, key=lambda candidate: -candidate.score)
