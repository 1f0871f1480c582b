"""Measured latency: every engine computes the model itself, for any batch and image size."""

from __future__ import annotations

import sys

import keras
import numpy as np
import pytest

from keras_archs.analysis import latency
from keras_archs.analysis.latency import ENGINES, Engine, Latency, arithmetic_for, measure_latency
from tests.support.tiny import tiny


@pytest.fixture(scope="module")
def model() -> keras.Model:
    return tiny(depth=0.2, width=1, resolution=1, channels=3)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_is_measured(model: keras.Model, engine: Engine) -> None:
    measured = measure_latency(model, engine, batch=2, runs=3)
    assert (measured.engine, measured.batch) == (engine, 2)
    assert 0 < measured.p25 <= measured.median <= measured.p75 <= measured.p90


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_computes_the_model(model: keras.Model, engine: Engine) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    with latency._compiled(model, engine, pixels.shape, threads=1) as infer:
        expected = model.predict((pixels.astype(np.float32) - 127.5) / 127.5, verbose=0)
        np.testing.assert_allclose(infer(pixels), expected, atol=1e-5)


def test_what_only_gradients_need_is_left_out() -> None:
    """Swish has a gradient of its own, whose nodes in the graph are no outputs of the network."""
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation="swish")(images)
    model = keras.Model(images, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x)))
    pixels = np.full((1, 8, 8, 3), 200, np.uint8)
    with latency._compiled(model, "openvino", pixels.shape, threads=1) as infer:
        expected = model.predict((pixels.astype(np.float32) - 127.5) / 127.5, verbose=0)
        np.testing.assert_allclose(infer(pixels), expected, atol=1e-5)


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
    with pytest.raises(ValueError, match="must be at least 1"):
        measure_latency(model, threads=0)
    with pytest.raises(ValueError, match="threads are for the engine 'openvino'; got 2 for 'keras'"):
        measure_latency(model, "keras", threads=2)
    with pytest.raises(ValueError, match="arithmetic must be 'f32' or 'bf16'; got 'int8'"):
        measure_latency(model, arithmetic="int8")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="bfloat16 is for the engine 'openvino'"):
        measure_latency(model, "keras", arithmetic="bf16")


def test_bfloat16_is_measured_where_the_processor_has_it(model: keras.Model) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (1, 20, 20, 3), dtype=np.uint8)
    if arithmetic_for("auto") == "f32":
        with pytest.raises(ValueError, match="on a processor that has it"):
            measure_latency(model, arithmetic="bf16")
        return
    assert measure_latency(model, arithmetic="bf16", runs=3).median > 0
    with (
        latency._compiled(model, "openvino", pixels.shape, threads=1) as exact,
        latency._compiled(model, "openvino", pixels.shape, threads=1, arithmetic="bf16") as rounded,
    ):
        difference = np.abs(exact(pixels) - rounded(pixels)).max()
    assert 0 < difference < 0.1
    assert arithmetic_for("f32") == "f32"


@pytest.mark.parametrize(
    ("p25", "p75", "waited", "disturbed"),
    [
        (4.9, 5.1, 0.03, False),
        (4.9, 5.1, None, False),
        (4.9, 5.1, 1.0, True),  # another program always computes: every run takes longer, by the same time
        (4.9, 9.0, 0.03, True),
        (4.9, 9.0, None, True),
    ],
)
def test_a_busy_machine_is_noticed(p25: float, p75: float, waited: float | None, disturbed: bool) -> None:
    assert Latency("openvino", 1, median=5, p25=p25, p75=p75, p90=9, waited=waited).disturbed == disturbed


def test_a_missing_engine_names_the_extra_to_install(model: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("openvino_runtime", "openvino_graph", "silent_openvino"):
        monkeypatch.delitem(sys.modules, f"keras_archs.runtimes.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModuleNotFoundError, match=r"openvino is not installed: pip install 'keras-archs\[serve\]'"):
        measure_latency(model, "openvino")
