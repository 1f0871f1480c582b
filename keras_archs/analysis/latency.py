"""Measured time of an inference, to compare with multiply-adds."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.cost import known_shape
from keras_archs.analysis.extras import import_extra
from keras_archs.runtimes.runtime import Infer

Engine = Literal["openvino", "tensorflow", "keras"]
ENGINES: tuple[Engine, ...] = ("openvino", "tensorflow", "keras")

_WARM_UP_RUNS = 2


@dataclass(frozen=True)
class Latency:
    """Time of one batch, in milliseconds."""

    engine: Engine
    """Engine that computed the batch."""
    batch: int
    """Images in the batch."""
    median: float
    """Median of the runs, in milliseconds."""
    p90: float
    """90th percentile of the runs, in milliseconds."""


def measure_latency(
    model: keras.Model,
    engine: Engine = "openvino",
    *,
    input_shape: tuple[int, int, int] | None = None,
    batch: int = 1,
    runs: int = 30,
) -> Latency:
    """Measure how long a model takes for one batch in float32 on all cores of this machine.

    The times hold for this machine and its load: compare models within one run.

    Args:
        model: A functional model with one input.
        engine: ``"openvino"`` as in the gateway, ``"tensorflow"`` for a SavedModel, or ``"keras"`` for a call of the
            model itself.
        input_shape: (height, width, channels) in pixels; None for the model's own.
        batch: Images per run, at least 1.
        runs: Number of measured runs, at least 1; two warm-up runs come before.

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
    with _compiled(model, engine, shape) as infer:
        times = []
        for _ in range(_WARM_UP_RUNS + runs):
            start = time.perf_counter()
            infer(images)
            times.append(1000 * (time.perf_counter() - start))
    measured = times[_WARM_UP_RUNS:]
    return Latency(engine, batch, statistics.median(measured), float(np.percentile(measured, 90)))


@contextmanager
def _compiled(model: keras.Model, engine: Engine, shape: tuple[int, ...]) -> Iterator[Infer]:
    """Lend a function that computes the model's output; the runtimes may read the SavedModel as long as it is used."""
    if engine == "keras":

        def call(images: NDArray[Any]) -> NDArray[np.float32]:
            return np.asarray(model(images, training=False))

        yield call
        return
    compiler = _compiler(engine)
    with tempfile.TemporaryDirectory(prefix="keras-archs-") as folder:
        _save(model, Path(folder), shape)
        yield compiler(Path(folder), shape)


def _compiler(engine: Engine) -> Callable[[Path, tuple[int, ...]], Infer]:
    if engine == "openvino":
        compiler: Callable[[Path, tuple[int, ...]], Infer] = (
            import_extra("keras_archs.runtimes.openvino_runtime", "serve").OpenVinoRuntime().compile
        )
        return compiler
    from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

    return TensorFlowRuntime().compile


def _save(model: keras.Model, folder: Path, shape: tuple[int, ...]) -> None:
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", lambda x: model(x, training=False), [tf.TensorSpec(shape, tf.float32)])
    archive.write_out(folder, verbose=False)
