"""Compound scaling on real graphs: families, budgets and the search for coefficients."""

import keras
import numpy as np
import pytest
from keras import layers
from skimage import data

import keras_archs
from keras_archs.scaling import PAPER, Factors, growth


def tiny(*, depth: float, width: float, resolution: float) -> keras.Model:
    """Convolutions of one size, whose multiply-adds nothing but depth, width and resolution decide."""
    side = round(20 * resolution)
    images = keras.Input((side, side, 8))
    x = images
    for number in range(round(10 * depth)):
        x = layers.Conv2D(round(20 * width), 3, padding="same", activation="relu", name=f"conv{number}")(x)
    return keras.Model(images, layers.Dense(2, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def test_coefficients_grow_with_phi() -> None:
    assert keras_archs.compound_scale(1.2, 1.1, 1.15, 0) == Factors(1, 1, 1)
    assert keras_archs.compound_scale(1.2, 1.1, 1.15, 1) == Factors(depth=1.2, width=1.1, resolution=1.15)
    assert keras_archs.compound_scale(1.2, 1.1, 1.15, 2).depth == pytest.approx(1.44)
    assert growth(*PAPER) == pytest.approx(1.92, abs=0.005)  # what the paper calls "about 2"


def test_impossible_coefficients_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1; got {'beta': 0\.9}"):
        keras_archs.compound_scale(1.2, 0.9, 1.1, 1)
    with pytest.raises(ValueError, match=r"phi must be at least 0; got -1"):
        keras_archs.compound_scale(*PAPER, -1)


def test_the_scaled_network_is_the_published_one() -> None:
    """B3 is the baseline times 1.2 in width and 1.4 in depth, at 300 pixels."""
    scaled = keras_archs.EfficientNet(width=1.2, depth=1.4, resolution=300 / 224, dropout_rate=0.3)
    b3 = keras_archs.EfficientNetB3()
    assert scaled.input_shape == b3.input_shape
    assert [weight.shape for weight in scaled.weights] == [weight.shape for weight in b3.weights]


def test_efficientnets_family_does_not_grow_as_powers_of_two() -> None:
    """Blocks are rounded up: early members cost more than 2^phi, later ones as much, then less."""
    zero, one, four = keras_archs.members(keras_archs.EfficientNet, (0, 1, 4))
    assert (zero.macs, zero.growth) == (keras_archs.model_card("efficientnet-b0").cost.macs, 1)
    assert one.size == (258, 258)
    assert one.growth == pytest.approx(2.573, abs=5e-4)
    assert four.growth == pytest.approx(16.38, abs=5e-3)


def test_a_family_is_made_of_models() -> None:
    family = keras_archs.scale_family(tiny, (0, 1, 2))
    counted = keras_archs.members(tiny, (0, 1, 2))
    assert [model.input_shape[1] for model in family.values()] == [20, 23, 26]
    assert [keras_archs.profile(model).macs for model in family.values()] == [member.macs for member in counted]


def test_the_largest_member_within_a_budget() -> None:
    budget = keras_archs.Budget(max_macs=keras_archs.members(tiny, (1,))[0].macs)
    assert keras_archs.member_for_budget(tiny, (0, 1, 2, 3), budget).phi == 1
    with pytest.raises(ValueError, match=r"nothing fits the budget; the nearest is phi=1, which takes .* of 100"):
        keras_archs.member_for_budget(tiny, (3, 1, 2), keras_archs.Budget(max_macs=100))


def test_time_is_measured_of_what_keeps_the_other_bounds() -> None:
    built: list[float] = []

    def noted(*, depth: float, width: float, resolution: float) -> keras.Model:
        built.append(depth)
        return tiny(depth=depth, width=width, resolution=resolution)

    small = keras_archs.members(tiny, (0,))[0]
    budget = keras_archs.Budget(max_params=small.parameters, max_latency_ms=60_000, engine="keras")
    assert keras_archs.member_for_budget(noted, (0, 1), budget).phi == 0
    assert built == [1, 1, 1.2, 1]  # three are counted, one is measured
    with pytest.raises(ValueError, match=r"phi=0, which takes .* parameters of .* and .* ms of 1e-06"):
        keras_archs.member_for_budget(
            tiny, (0,), keras_archs.Budget(max_params=1e9, max_latency_ms=1e-6, engine="keras")
        )


def test_mobilenet_for_a_budget() -> None:
    """The most accurate that fits, not the largest: 0.5 at 224 pixels (149 M) beats 0.75 at 128 (107 M)."""
    choose = keras_archs.mobilenet_for_budget
    assert choose(max_macs=150e6).name == "mobilenet-0.5-224"
    assert choose(max_macs=1e12).name == "mobilenet-1.0-224"
    assert dict(choose(max_params=1e6).arguments) == {"alpha": 0.25}
    with pytest.raises(ValueError, match=r"nearest is mobilenet-0.25-128, which takes 13,570,048 multiply-adds"):
        choose(max_macs=1e6)
    with pytest.raises(ValueError, match="at least one of max_macs, max_params, max_latency_ms"):
        choose()
    with pytest.raises(ValueError, match=r"must be positive; got {'max_params': -1}"):
        choose(max_params=-1)


def test_the_search_finds_what_keeps_the_budget_and_ranks_it() -> None:
    found = keras_archs.search_coefficients(
        tiny,
        lambda model: -model.count_params(),
        alphas=(1.0, 1.2, 2.0),
        betas=(1.0, 1.1, 1.4),
        gammas=(1.0, 1.15, 1.4),
    )
    coefficients = {(one.alpha, one.beta, one.gamma) for one in found}
    assert {(2.0, 1.0, 1.0), (1.0, 1.4, 1.0), (1.0, 1.0, 1.4), PAPER} <= coefficients
    assert (1.2, 1.0, 1.0) not in coefficients
    assert all(abs(one.growth / 2 - 1) <= 0.05 for one in found)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert (found[0].alpha, found[0].beta) == (1.0, 1.0)  # resolution alone needs no parameters


def test_the_papers_coefficients_are_feasible_for_efficientnet_b0_on_real_counts() -> None:
    found = keras_archs.search_coefficients(
        keras_archs.EfficientNet, lambda _: 0.0, alphas=(1.1, 1.2), betas=(1.1,), gammas=(1.15,)
    )
    assert PAPER in {(one.alpha, one.beta, one.gamma) for one in found}


def test_an_infeasible_search_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"grow 2 times within 1%; the nearest is \(1\.9, 1\.0, 1\.0\)"):
        keras_archs.search_coefficients(
            tiny, lambda _: 0.0, tolerance=0.01, alphas=(1.9, 1.8), betas=(1.0,), gammas=(1.0,)
        )
    with pytest.raises(ValueError, match="rules out all of the grid"):
        keras_archs.search_coefficients(tiny, lambda _: 0.0, alphas=(9.0,), betas=(1.0,), gammas=(1.0,))


def test_a_short_training_tells_what_can_be_learnt() -> None:
    """Two photographs' patches: a network that sees learns them, and blind labels stay a coin toss."""
    random = np.random.default_rng(0)
    patches, labels = [], []
    for label, photograph in enumerate((data.coffee(), data.chelsea())):
        for _ in range(48):
            row, column = (random.integers(0, side - 24) for side in photograph.shape[:2])
            patch = photograph[row : row + 24, column : column + 24].astype(np.float32) / 127 - 1
            patches.append(np.repeat(patch, 3, axis=2)[..., :8])
            labels.append(label)
    order = random.permutation(len(labels))
    images, classes = np.stack(patches)[order], np.array(labels)[order]
    training = keras_archs.ShortTraining(images[:64], classes[:64], images[64:], classes[64:], epochs=30, batch=8)
    score = training(tiny(depth=0.3, width=1, resolution=1))
    assert 0.7 < score <= 1
