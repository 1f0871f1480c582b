"""Compound scaling counted on graphs: families and budgets."""

import keras
import pytest

import keras_archs
from keras_archs.cards.scaling import PAPER, Factors, growth
from tests.support.tiny import tiny


def test_factors_are_the_coefficients_to_the_power_of_phi() -> None:
    assert keras_archs.compound_scale(1.2, 1.1, 1.15, 0) == Factors(1, 1, 1)
    assert keras_archs.compound_scale(1.2, 1.1, 1.15, 1) == Factors(depth=1.2, width=1.1, resolution=1.15)
    assert keras_archs.compound_scale(1.2, 1.1, 1.15, 2).depth == pytest.approx(1.44)
    assert growth(*PAPER) == pytest.approx(1.92, abs=0.005)  # what the paper calls "about 2"


def test_coefficients_below_1_and_phi_below_0_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1; got {'beta': 0\.9}"):
        keras_archs.compound_scale(1.2, 0.9, 1.1, 1)
    with pytest.raises(ValueError, match=r"phi must be at least 0; got -1"):
        keras_archs.compound_scale(*PAPER, -1)


def test_the_scaled_baseline_equals_the_published_b3() -> None:
    """B3 is the baseline with 1.2 times the width and 1.4 times the depth, at 300 pixels."""
    scaled = keras_archs.EfficientNet(width=1.2, depth=1.4, resolution=300 / 224, dropout_rate=0.3)
    b3 = keras_archs.EfficientNetB3()
    assert scaled.input_shape == b3.input_shape
    assert [weight.shape for weight in scaled.weights] == [weight.shape for weight in b3.weights]


def test_efficientnets_family_does_not_grow_exactly_as_powers_of_two() -> None:
    """Blocks are rounded up: small members cost more than 2^phi, larger members about 2^phi, then less."""
    phi_0, phi_1, phi_4 = keras_archs.members(keras_archs.EfficientNet, (0, 1, 4))
    assert (phi_0.macs, phi_0.growth) == (keras_archs.model_card("efficientnet-b0").cost.macs, 1)
    assert phi_1.size == (258, 258)
    assert phi_1.growth == pytest.approx(2.573, abs=5e-4)
    assert phi_4.growth == pytest.approx(16.38, abs=5e-3)


def test_counted_members_equal_the_built_models() -> None:
    family = keras_archs.scale_family(tiny, (0, 1, 2))
    counted = keras_archs.members(tiny, (0, 1, 2))
    assert [model.input_shape[1] for model in family.values()] == [20, 23, 26]
    assert [keras_archs.profile(model).macs for model in family.values()] == [member.macs for member in counted]


def test_the_largest_member_within_a_budget_is_chosen() -> None:
    budget = keras_archs.Budget(max_macs=keras_archs.members(tiny, (1,))[0].macs)
    assert keras_archs.member_for_budget(tiny, (0, 1, 2, 3), budget).phi == 1
    with pytest.raises(
        ValueError, match=r"nothing fits the budget; the nearest is phi=1, which needs .* \(limit 100\)"
    ):
        keras_archs.member_for_budget(tiny, (3, 1, 2), keras_archs.Budget(max_macs=100))


def test_latency_is_measured_only_within_the_other_bounds() -> None:
    built: list[float] = []

    def recording(*, depth: float, width: float, resolution: float) -> keras.Model:
        built.append(depth)
        return tiny(depth=depth, width=width, resolution=resolution)

    small = keras_archs.members(tiny, (0,))[0]
    budget = keras_archs.Budget(max_params=small.parameters, max_latency_ms=60_000, engine="keras")
    assert keras_archs.member_for_budget(recording, (0, 1), budget).phi == 0
    assert built == [1, 1, 1.2, 1]  # three are counted, one is measured
    built.clear()
    with pytest.raises(ValueError, match=r"phi=0, which needs .* parameters .* and .* ms \(limit 1e-06\)"):
        keras_archs.member_for_budget(
            recording, (1, 0), keras_archs.Budget(max_params=1e9, max_latency_ms=1e-6, engine="keras")
        )
    assert built == [1, 1.2, 1, 1]  # phi=1 is larger than phi=0, which is too slow: not measured
    with pytest.raises(ValueError, match="no candidates to choose from"):
        keras_archs.member_for_budget(tiny, (), budget)


def test_the_most_accurate_mobilenet_within_a_budget_is_chosen() -> None:
    """Alpha 0.5 at 224 pixels (149 M) is more accurate than alpha 0.75 at 128 pixels (107 M)."""
    choose = keras_archs.mobilenet_for_budget
    assert choose(max_macs=150e6).name == "mobilenet-0.5-224"
    assert choose(max_macs=1e12).name == "mobilenet-1.0-224"
    assert dict(choose(max_params=1e6).arguments) == {"alpha": 0.25}
    with pytest.raises(
        ValueError, match=r"nearest is mobilenet-0.25-128, which needs 13,570,048 multiply-adds \(limit 1,000,000\)"
    ):
        choose(max_macs=1e6)
    with pytest.raises(ValueError, match="at least one of max_macs, max_params, max_latency_ms"):
        choose()
    with pytest.raises(ValueError, match=r"must be positive; got {'max_params': -1}"):
        choose(max_params=-1)
