"""Measured time for one image, beside which multiply-adds can be put."""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_archs.analysis.cost import known_shape
from keras_archs.analysis.extras import import_extra

Engine = Literal["openvino", "tensorflow", "keras"]
ENGINES: tuple[Engine, ...] = ("openvino", "tensorflow", "keras")


@dataclass(frozen=True)
class Latency:
    """Time of one batch, in milliseconds."""

    engine: Engine
    batch: int
    median: float
    p90: float
    """Nine runs of ten were as fast as this, or faster."""


def measure_latency(
    model: keras.Model,
    engine: Engine = "openvino",
    *,
    input_shape: tuple[int, int, int] | None = None,
    batch: int = 1,
    runs: int = 30,
) -> Latency:
    """Measure how long a model takes, with all cores of this machine at its disposal.

    Times are this machine's, and as noisy as it is: compare models in one run.

    Args:
        model: A functional model with one input.
        engine: ``"openvino"`` as in the gateway, ``"tensorflow"`` for a saved graph, or ``"keras"`` for a call
            of the model as it is.
        input_shape: (height, width, channels); None for the model's own.
        batch: Images at once.
        runs: How often to measure, after two runs to warm up.

    Returns:
        Median and 90th percentile.

    Raises:
        ValueError: For an unknown engine, fewer than 1 run or image, or a model for any size without ``input_shape``.
        ModuleNotFoundError: If the engine is not installed.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}; got {engine!r}")
    if batch < 1 or runs < 1:
        raise ValueError(f"batch and runs must be at least 1; got batch={batch}, runs={runs}")
    shape = (batch, *known_shape(model, input_shape))
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    with ExitStack() as stack:
        infer = _PREPARE[engine](model, images.shape, stack)
        times = []
        for _ in range(runs + 2):
            start = time.perf_counter()
            infer(images)
            times.append(1000 * (time.perf_counter() - start))
    measured = times[2:]
    return Latency(engine, batch, statistics.median(measured), float(np.percentile(measured, 90)))


Infer = Callable[[Any], Any]


def _keras(model: keras.Model, _shape: tuple[int, ...], _stack: ExitStack) -> Infer:
    return lambda images: np.asarray(model(images, training=False))


def _saved(model: keras.Model, shape: tuple[int, ...], stack: ExitStack) -> Path:
    import tensorflow as tf

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="keras-archs-")))
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda x: model(x, training=False), [tf.TensorSpec(shape, tf.float32)])
    archive.write_out(folder, verbose=False)
    return folder


def _tensorflow(model: keras.Model, shape: tuple[int, ...], stack: ExitStack) -> Infer:
    import tensorflow as tf

    loaded = tf.saved_model.load(_saved(model, shape, stack))
    return lambda images: loaded.serve(images).numpy()


def _openvino(model: keras.Model, shape: tuple[int, ...], stack: ExitStack) -> Infer:
    openvino = import_extra("openvino", "serve")
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(_saved(model, shape, stack)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    return lambda images: compiled(images)[0]


_PREPARE: dict[Engine, Callable[[keras.Model, tuple[int, ...], ExitStack], Infer]] = {
    "openvino": _openvino,
    "tensorflow": _tensorflow,
    "keras": _keras,
}
