"""Fraction of the multiply-adds that depthwise separable convolutions need: formula against counts."""

from fractions import Fraction

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

import keras_archs

sides = st.integers(1, 9)


@given(kernel=sides, in_channels=sides, out_channels=sides, size=sides)
def test_the_ratio_is_1_over_n_plus_1_over_k_squared(
    kernel: int, in_channels: int, out_channels: int, size: int
) -> None:
    cost = keras_archs.separable_cost(kernel, in_channels, out_channels, size)
    assert cost.ratio == Fraction(1, out_channels) + Fraction(1, kernel**2)
    assert cost.ratio + cost.saved == 1


@settings(max_examples=10, deadline=None)
@given(kernel=st.sampled_from([1, 3, 5]), in_channels=sides, out_channels=sides, size=sides)
def test_the_formula_equals_the_counts_of_keras_layers(
    kernel: int, in_channels: int, out_channels: int, size: int
) -> None:
    cost = keras_archs.separable_cost(kernel, in_channels, out_channels, size)

    def macs(layer: keras.Layer) -> int | None:
        return keras_archs.profile(keras.Sequential([keras.Input((size, size, in_channels)), layer])).macs

    assert cost.standard == macs(layers.Conv2D(out_channels, kernel, padding="same"))
    assert cost.separable == macs(layers.SeparableConv2D(out_channels, kernel, padding="same"))
    assert cost.pointwise == macs(layers.Conv2D(out_channels, 1))


def test_each_block_of_mobilenet_has_the_ratio_of_the_formula() -> None:
    savings = keras_archs.mobilenet_savings()
    assert list(savings)[:3] == ["stage1_block1", "stage2_block1", "stage2_block2"]
    assert len(savings) == 13
    channels = [64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    assert [cost.ratio for cost in savings.values()] == [Fraction(1, n) + Fraction(1, 9) for n in channels]


def test_the_sums_are_the_papers_table_4() -> None:
    """569 and 4,866 million multiply-adds; the paper does not say whether they include the classifier's million."""
    savings = keras_archs.mobilenet_savings().values()
    card = keras_archs.model_card("mobilenet-1.0-224")
    shared = card.cost.macs - sum(cost.separable for cost in savings)
    assert card.cost.macs / 1e6 == pytest.approx(569, abs=1.1)
    assert (shared + sum(cost.standard for cost in savings)) / 1e6 == pytest.approx(4866, abs=1.5)


def test_a_narrower_network_saves_less() -> None:
    whole, quarter = (
        [float(cost.saved) for cost in keras_archs.mobilenet_savings(alpha=alpha).values()] for alpha in (1.0, 0.25)
    )
    assert all(narrow < wide for narrow, wide in zip(quarter, whole, strict=True))


@pytest.mark.parametrize("bad", [0, -3, 1.5, True, "3"])
def test_arguments_other_than_positive_integers_are_refused(bad: int) -> None:
    with pytest.raises(ValueError, match=rf"integers of at least 1; got {{'kernel': {bad!r}}}"):
        keras_archs.separable_cost(bad, 8, 8, 14)


def test_integers_of_numpy_do_not_overflow() -> None:
    counted = keras_archs.separable_cost(*np.array([3, 2048, 2048, 1024], np.int32))
    assert counted == keras_archs.separable_cost(3, 2048, 2048, 1024)
    assert counted.standard > 2**32
