"""Search for the coefficients of compound scaling, by multiply-adds counted on graphs."""

import keras
import pytest
from keras import layers

import keras_archs
from keras_archs.analysis.coefficients import Feasible
from keras_archs.cards.scaling import PAPER, Factors, compound_scale
from tests.support.tiny import tiny


def points(feasible: list[Feasible]) -> set[tuple[float, float, float]]:
    return {(point.alpha, point.beta, point.gamma) for point in feasible}


def test_feasible_points_grow_by_the_target_within_the_tolerance() -> None:
    feasible = keras_archs.feasible_coefficients(
        tiny, alphas=(1.0, 1.2, 2.0), betas=(1.0, 1.1, 1.4), gammas=(1.4, 1.15, 1)
    )
    assert points(feasible) >= {(2.0, 1.0, 1.0), (1.0, 1.4, 1.0), (1.0, 1.0, 1.4), PAPER}
    assert (1.2, 1.0, 1.0) not in points(feasible)
    assert all(abs(point.growth / 2 - 1) <= 0.05 for point in feasible)


def test_bisection_finds_the_same_points_as_counting_the_whole_grid() -> None:
    grid = (1.0, 1.15, 1.3)
    baseline = keras_archs.members(tiny, (0,))[0].macs
    growths = {
        (alpha, beta, gamma): (keras_archs.members(tiny, (4,), (alpha, beta, gamma))[0].macs / baseline) ** (1 / 4)
        for alpha in grid
        for beta in grid
        for gamma in grid
    }
    feasible = keras_archs.feasible_coefficients(tiny, alphas=grid, betas=grid, gammas=grid)
    assert {(point.alpha, point.beta, point.gamma): point.growth for point in feasible} == {
        point: growth for point, growth in growths.items() if 1.9 <= growth <= 2.1
    }


@pytest.mark.slow
def test_the_papers_coefficients_are_feasible_for_efficientnet_b0_by_counted_growth() -> None:
    feasible = keras_archs.feasible_coefficients(
        keras_archs.EfficientNet, alphas=(1.1, 1.2), betas=(1.1,), gammas=(1.1, 1.15, 1.2)
    )
    assert points(feasible) == {(1.1, 1.1, 1.2), PAPER}
    paper = next(point for point in feasible if (point.alpha, point.beta, point.gamma) == PAPER)
    assert paper.growth == pytest.approx(2.012, abs=5e-4)
    assert paper.formula == pytest.approx(1.920, abs=5e-4)


def test_a_search_without_feasible_points_names_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"grow 2 times within 1%; the nearest is \(1\.9, 1\.0, 1\.0\), which grows 1\.9"
    ):
        keras_archs.feasible_coefficients(tiny, tolerance=0.01, alphas=(1.9, 1.8), betas=(1.0,), gammas=(1.0,))
    with pytest.raises(ValueError, match=r"nearest is \(2\.5, 1\.0, 1\.0\)"):
        keras_archs.search_coefficients(tiny, lambda _: 0.0, alphas=(2.5, 3), betas=(1.0,), gammas=(1.0, 1.2))
    with pytest.raises(ValueError, match=r"the grid is empty: .* betas=\(\)"):
        keras_archs.feasible_coefficients(tiny, betas=())


def test_the_search_ranks_members_at_phi_1_by_score() -> None:
    scored: list[keras.Model] = []

    def fewest_parameters(model: keras.Model) -> float:
        scored.append(model)
        return -float(model.count_params())

    candidates = keras_archs.search_coefficients(
        tiny, fewest_parameters, alphas=(1.0, 1.2, 2.0), betas=(1.0, 1.1), gammas=(1.0, 1.15, 1.4)
    )
    assert len(candidates) == len(scored) > 2
    scores = [candidate.score for candidate in candidates]
    assert scores == sorted(scores, reverse=True)
    best = candidates[0]
    assert (best.alpha, best.beta, best.gamma) == (1.0, 1.0, 1.4)  # resolution adds no parameters
    assert compound_scale(best.alpha, best.beta, best.gamma, 1) == Factors(1.0, 1.0, 1.4)
    assert (None, 28, 28, 8) in {model.input_shape for model in scored}


def test_without_a_score_candidates_are_trained_on_digits() -> None:
    def small(*, depth: float, width: float, resolution: float) -> keras.Model:
        side = round(12 * resolution)
        x = images = keras.Input((side, side, 3))
        for _ in range(round(2 * depth)):
            x = layers.Conv2D(round(32 * width), 3, padding="same")(x)
            x = layers.ReLU()(layers.BatchNormalization()(x))
        return keras.Model(images, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x)))

    (candidate,) = keras_archs.search_coefficients(small, alphas=(2.0,), betas=(1.0,), gammas=(1.0,), tolerance=0.2)
    assert 0.3 < candidate.score <= 1  # chance is 0.1
