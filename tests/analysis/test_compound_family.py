"""Compound scaling on real graphs: families and budgets."""

import keras
import pytest

import keras_archs
from keras_archs.cards.scaling import PAPER, Factors, growth
from tests.support.tiny import tiny


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
    built.clear()
    with pytest.raises(ValueError, match=r"phi=0, which takes .* parameters of .* and .* ms of 1e-06"):
        keras_archs.member_for_budget(
            noted, (1, 0), keras_archs.Budget(max_params=1e9, max_latency_ms=1e-6, engine="keras")
        )
    assert built == [1, 1.2, 1, 1]  # what is larger than one that is too slow is not measured
    with pytest.raises(ValueError, match="nothing to choose from"):
        keras_archs.member_for_budget(tiny, (), budget)


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
