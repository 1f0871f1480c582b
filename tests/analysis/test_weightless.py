"""Networks that are only counted take no memory, neither when they are built nor later."""

from __future__ import annotations

import gc
import importlib
import re
import sys
import weakref
from collections.abc import Callable

import keras
import pytest

import keras_archs
from keras_archs.analysis.weightless import weightless


@keras.saving.register_keras_serializable("tests")
class CountingZeros(keras.initializers.Initializer):
    """Zeros that count their initialisations."""

    calls = 0

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> keras.KerasTensor:
        CountingZeros.calls += 1
        return keras.ops.zeros(shape, dtype)


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, kernel_initializer=CountingZeros())])


def initialise_pending_variables() -> None:
    """End a scope, as exports and JAX's training do: Keras then initialises all variables without values."""
    with keras.StatelessScope():
        pass


def build_weightless() -> None:
    with weightless():
        dense()


def build_and_profile() -> None:
    keras_archs.profile(dense())


@pytest.mark.parametrize("count", [build_weightless, build_and_profile])
def test_counted_networks_are_never_initialised(count: Callable[[], None]) -> None:
    count()
    calls = CountingZeros.calls
    initialise_pending_variables()
    assert CountingZeros.calls == calls


def test_variables_pending_before_the_context_are_still_initialised() -> None:
    with keras.StatelessScope(initialize_variables=False):
        model = dense()
        build_weightless()
    initialise_pending_variables()
    assert [weight.numpy().shape for weight in model.weights] == [(3, 2), (2,)]


def test_a_counted_network_is_garbage_collected() -> None:
    with weightless():
        model = keras_archs.MobileNet(alpha=0.25)
    assert model.count_params() == keras_archs.model_card("mobilenet-0.25-224").cost.parameters
    kernel = weakref.ref(model.weights[0])
    del model
    gc.collect()
    assert kernel() is None


def test_a_keras_that_moved_the_private_name_is_refused_with_the_supported_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keras.src.backend.common.global_state", None)
    with pytest.raises(ImportError, match=rf"Keras {re.escape(keras.__version__)} .* pip install 'keras[^']*>=3\.15"):
        importlib.reload(importlib.import_module("keras_archs.analysis.weightless"))
