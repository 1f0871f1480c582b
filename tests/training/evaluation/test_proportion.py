"""Confidence intervals are Wilson's."""

from __future__ import annotations

import pytest

from keras_archs.training.evaluation.proportion import Proportion


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (10, 10, 0.7225, 1.0),
        # the examples of Newcombe, "Two-sided confidence intervals for the single proportion", 1998, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilsons(count: int, total: int, low: float, high: float) -> None:
    proportion = Proportion(count, total)
    assert proportion.value == count / total
    assert proportion.interval == pytest.approx((low, high), abs=5e-5)


def test_the_interval_holds_all_values_that_it_should_and_no_others() -> None:
    proportion = Proportion(8, 10)
    assert [proportion.place(value) for value in (0.49, 0.4902, 0.8, 0.9433, 0.944)] == [
        "below",
        "inside",
        "inside",
        "inside",
        "above",
    ]
    assert Proportion(0, 3).place(0) == Proportion(3, 3).place(1) == "inside"
