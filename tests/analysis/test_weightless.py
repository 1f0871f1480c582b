"""Networks that are only counted take no memory, neither at once nor later."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import keras
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless


@keras.saving.register_keras_serializable("tests")
class Counting(keras.initializers.Initializer):
    """Zeros that know how often they were asked for."""

    asked = 0

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        Counting.asked += 1
        return keras.ops.zeros(shape, dtype)


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=Counting())])


def values_are_given() -> None:
    """What waits for values gets them when a scope ends, as it does in the midst of an export and of JAX's training."""
    with keras.StatelessScope():
        pass


def built_weightless() -> None:
    with weightless():
        dense()


def profiled() -> None:
    keras_archs.profile(dense())


@pytest.mark.parametrize("count", [built_weightless, profiled])
def test_what_was_counted_is_never_given_values(count: Callable[[], None]) -> None:
    count()
    asked = Counting.asked
    values_are_given()
    assert Counting.asked == asked


def test_what_waited_before_still_gets_its_values() -> None:
    with keras.StatelessScope(initialize_variables=False):
        model = dense()
        built_weightless()
    values_are_given()
    assert [weight.numpy().shape for weight in model.weights] == [(3, 2), (2,)]


def test_a_network_that_was_counted_goes_away() -> None:
    with weightless():
        model = keras_archs.MobileNet(alpha=0.25)
    assert model.count_params() == keras_archs.model_card("mobilenet-0.25-224").cost.parameters
    kernel = weakref.ref(model.weights[0])
    del model
    gc.collect()
    assert kernel() is None
