"""Measured latency: every engine computes the model itself, for any batch and image size."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

from keras_archs.analysis import latency
from keras_archs.analysis.latency import ENGINES, Engine, measure_latency
from tests.support.tiny import tiny


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return tiny(depth=0.2, width=1, resolution=1, channels=3)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_is_measured(model: keras.Model, engine: Engine) -> None:
    measured = measure_latency(model, engine, batch=2, runs=3)
    assert (measured.engine, measured.batch) == (engine, 2)
    assert 0 < measured.median <= measured.p90


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_computes_the_model(model: keras.Model, engine: Engine) -> None:
    images = np.random.default_rng(0).normal(size=(2, 20, 20, 3)).astype(np.float32)
    with latency._compiled(model, engine, images.shape) as infer:
        np.testing.assert_allclose(infer(images), model.predict(images, verbose=0), atol=1e-5)


def test_a_model_for_any_size_needs_an_input_shape() -> None:
    images = keras.Input((None, None, 3))
    model = keras.Model(images, keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(images)))
    with pytest.raises(ValueError, match="input_shape="):
        measure_latency(model, runs=1)
    assert measure_latency(model, input_shape=(32, 48, 3), runs=1).median > 0


def test_unknown_engines_and_empty_measurements_are_refused(model: keras.Model) -> None:
    with pytest.raises(ValueError, match="openvino, tensorflow, keras; got 'abacus'"):
        measure_latency(model, "abacus")  # type: ignore[arg-type]
    for batch, runs in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="must be at least 1"):
            measure_latency(model, "keras", batch=batch, runs=runs)


def test_a_missing_engine_names_the_extra_to_install(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("openvino_runtime", "openvino_graph", "silent_openvino"):
        monkeypatch.delitem(sys.modules, f"keras_archs.runtimes.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModuleNotFoundError, match=r"openvino is not installed: pip install 'keras-archs\[serve\]'"):
        measure_latency(model, "openvino")
