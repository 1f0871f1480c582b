"""Grid search for the compound-scaling coefficients of a baseline.

Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019), section 3.3, step 1: the
points (alpha, beta, gamma) of a grid that satisfy the cost constraint are trained and ranked. The paper's constraint
is the formula alpha * beta^2 * gamma^2 of about 2; here multiply-adds are counted on the graphs.
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
    """Coefficients that satisfy the cost constraint."""

    alpha: float
    """Factor on the depth for phi = 1."""
    beta: float
    """Factor on the width for phi = 1."""
    gamma: float
    """Factor on the resolution for phi = 1."""
    growth: float
    """Factor on the multiply-adds for each step of phi, counted on graphs."""
    formula: float
    """Factor on the multiply-adds for each step of phi by the formula alpha * beta^2 * gamma^2."""


@dataclass(frozen=True)
class Candidate(Feasible):
    """Coefficients that satisfy the cost constraint, with the score of the network at phi = 1."""

    score: float
    """Value of the search's score; higher is better."""


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
    """Return the grid points at which a step of phi multiplies the counted multiply-adds by ``target``.

    At phi = 1 rounding dominates: most stages of EfficientNet-B0 have 1 to 3 blocks, and the paper's coefficients
    multiply the counted multiply-adds by 2.57 instead of 1.92. The growth per step is therefore counted on a larger
    member, ``counted_at``. Since a larger image never costs less, the gammas are bisected for each alpha and beta:
    about half of the grid is counted, a second or two per point.

    Args:
        build: Builder of the baseline at any scale.
        target: Factor on the multiply-adds for each step of phi.
        tolerance: Largest relative deviation of the counted growth from ``target``, e.g. 0.05 for 5 %.
        counted_at: phi of the member whose multiply-adds are counted. The growth per step is the ``counted_at``-th
            root of the member's multiply-adds relative to the baseline's.
        alphas: Factors on the depth to try, each at least 1.
        betas: Factors on the width to try, each at least 1.
        gammas: Factors on the resolution to try, each at least 1.

    Returns:
        All points within the tolerance, sorted by alpha, beta and gamma.

    Raises:
        ValueError: If the grid is empty, or no point is within the tolerance; the message names the nearest point.
    """
    if not all(map(len, (alphas, betas, gammas))):
        raise ValueError(f"the grid is empty: alphas={alphas}, betas={betas}, gammas={gammas}")
    baseline = scaled_cost(build).macs
    counted: dict[tuple[float, float, float], float] = {}

    def counted_growth(alpha: float, beta: float, gamma: float) -> float:
        point = (alpha, beta, gamma)
        if point not in counted:
            macs = scaled_cost(build, compound_scale(*point, counted_at)).macs
            counted[point] = (macs / baseline) ** (1 / counted_at)
        return counted[point]

    feasible = []
    ascending = sorted(gammas)
    for alpha, beta in product(sorted(alphas), sorted(betas)):
        growth_by_gamma = partial(counted_growth, alpha, beta)
        start = bisect_left(ascending, target * (1 - tolerance), key=growth_by_gamma)
        stop = bisect_right(ascending, target * (1 + tolerance), lo=start, key=growth_by_gamma)
        feasible += [(alpha, beta, gamma) for gamma in ascending[start:stop]]
    if not feasible:
        nearest = min(counted, key=lambda point: abs(counted[point] - target))
        raise ValueError(
            f"no coefficients grow {target:g} times within {tolerance:.0%}; "
            f"the nearest is {nearest}, which grows {counted[nearest]:.3f} times"
        )
    return [Feasible(*point, growth=counted_growth(*point), formula=growth(*point)) for point in feasible]


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
        score: Returns the quality of a network, higher being better; None for `ShortTraining.on_digits`. It is called
            with the member at phi = 1 of each feasible point. The default takes minutes per network on a CPU, unless
            ``build`` makes a small baseline, e.g. with a quarter of the ``width`` and a seventh of the ``resolution``.
        target: Factor on the multiply-adds for each step of phi; see `feasible_coefficients`.
        tolerance: Largest relative deviation of the counted growth from ``target``.
        counted_at: phi of the member whose multiply-adds are counted.
        alphas: Factors on the depth to try, each at least 1.
        betas: Factors on the width to try, each at least 1.
        gammas: Factors on the resolution to try, each at least 1.

    Returns:
        The candidates within the tolerance, best first.

    Raises:
        ValueError: If the grid is empty, or no point is within the tolerance; the message names the nearest point.
        ModuleNotFoundError: If ``score`` is None and scikit-learn (extra ``analysis``) is not installed.
    """
    score = score or ShortTraining.on_digits()
    feasible = feasible_coefficients(
        build,
        target=target,
        tolerance=tolerance,
        counted_at=counted_at,
        alphas=alphas,
        betas=betas,
        gammas=gammas,
    )
    candidates = []
    for point in feasible:
        model = build_scaled(build, compound_scale(point.alpha, point.beta, point.gamma, 1))
        candidates.append(Candidate(**asdict(point), score=score(model)))
    return sorted(candidates, key=lambda candidate: -candidate.score)
