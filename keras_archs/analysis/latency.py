"""Measured time of an inference, to compare with multiply-adds. Keras is imported when a network is measured."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from keras_archs.analysis.extras import import_extra
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.local import load_version
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.processor import seconds_waited
from keras_archs.runtimes.runtime import FloatArithmetic, Infer, Precision

if TYPE_CHECKING:
    import keras

Engine = Literal["openvino", "tensorflow", "keras"]
ENGINES: tuple[Engine, ...] = ("openvino", "tensorflow", "keras")

_RUNS: Final = 30
_WARM_UP_RUNS: Final = 3
_SECONDS: Final = 0.5
"""Shortest time of measuring: 30 runs of the smallest networks take 15 ms, within which anything may happen."""
_ROUNDS: Final = 3
"""Measurements before a disturbed measurement is returned; of several, the fastest was disturbed least."""
_SCALE: Final = 127.5
"""Mean and standard deviation of the pixels, as in a published version, whose graph normalises them."""

_WAITED: Final = 0.1
"""Share of the time waited for a core from which a measurement is disturbed.

Measured on 2 cores: .02 to .04 on an idle machine, .36 if another program computes for a third of the time, 1.0 if it
always computes. Then latencies double while their spread stays as it is, so the spread alone does not tell.
"""
_SPREAD: Final = 0.3
"""Spread from which a measurement is disturbed. Measured: at most .21 on an idle machine, .19 to 1.1 on a busy one."""


@dataclass(frozen=True)
class Latency:
    """Time of one batch, in milliseconds."""

    engine: Engine
    """Engine that computed the batch."""
    batch: int
    """Images in the batch."""
    median: float
    """Median of the runs, in milliseconds."""
    p25: float
    """25th percentile of the runs, in milliseconds."""
    p75: float
    """75th percentile of the runs, in milliseconds."""
    p90: float
    """90th percentile of the runs, in milliseconds."""
    waited: float | None
    """Time that threads waited for a core while other programs computed, per time of measuring; None if unknown."""

    @property
    def spread(self) -> float:
        """Distance of the quartiles, relative to the median."""
        return (self.p75 - self.p25) / self.median

    @property
    def disturbed(self) -> bool:
        """Whether other programs used the machine during the runs, so that the time is longer than the network's."""
        return (self.waited is not None and self.waited > _WAITED) or self.spread > _SPREAD


def measure_latency(
    model: keras.Model,
    engine: Engine = "openvino",
    *,
    input_shape: tuple[int, int, int] | None = None,
    batch: int = 1,
    runs: int = _RUNS,
    threads: int | None = None,
    arithmetic: FloatArithmetic = "f32",
) -> Latency:
    """Measure how long a model takes from the pixels of one batch to its output.

    The times hold for this machine and its load: compare models within one run.

    Args:
        model: A functional model with one input.
        engine: ``"openvino"`` as in the gateway, ``"tensorflow"`` for a SavedModel, or ``"keras"`` for a call of the
            model itself.
        input_shape: (height, width, channels) in pixels; None for the model's own.
        batch: Images per run, at least 1.
        runs: Smallest number of measured runs, at least 1; more runs follow until half a second has passed. Three
            warm-up runs come before. If other programs disturb the runs, they are repeated, twice at most.
        threads: Threads that compute a batch, at least 1, for the engine OpenVINO; None for one per core.
        arithmetic: ``"f32"`` for float32, or ``"bf16"`` for bfloat16, for the engine OpenVINO on a processor that has
            it.

    Returns:
        Median and percentiles.

    Raises:
        ValueError: For an unknown engine or arithmetic, fewer than 1 run, image or thread, threads or bfloat16 for
            another engine than OpenVINO, bfloat16 on a processor without it, a model for any size without
            ``input_shape``, or another backend of Keras than TensorFlow for an engine other than ``"keras"``.
        ModuleNotFoundError: If the engine is not installed.
    """
    from keras_archs.analysis.cost import known_shape

    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}; got {engine!r}")
    if batch < 1 or runs < 1 or (threads is not None and threads < 1):
        raise ValueError(f"batch, runs and threads must be at least 1; got {batch=}, {runs=}, {threads=}")
    if threads is not None and engine != "openvino":
        raise ValueError(f"threads are for the engine 'openvino'; got {threads} for {engine!r}")
    if arithmetic not in get_args(FloatArithmetic):
        raise ValueError(f"arithmetic must be 'f32' or 'bf16'; got {arithmetic!r}")
    if arithmetic == "bf16" and (engine != "openvino" or arithmetic_for(arithmetic) != arithmetic):
        raise ValueError("bfloat16 is for the engine 'openvino' on a processor that has it: take 'f32'")
    shape = (batch, *known_shape(model, input_shape))
    with _compiled(model, engine, shape, threads or usable_cores(), arithmetic) as infer:
        return _measured(infer, _images(shape), engine, runs)


def arithmetic_for(precision: Precision) -> FloatArithmetic:
    """Return what the gateway computes a network with on this processor.

    Args:
        precision: Setting of the gateway. With "auto", the result holds for versions that pass their check in bfloat16;
            those that do not compute in float32.

    Raises:
        ModuleNotFoundError: OpenVINO is not installed.
    """
    if precision == "f32":
        return "f32"
    library = import_extra("keras_archs.runtimes.openvino_runtime", "serve")
    return "bf16" if library.has_bfloat16(library.ov.Core()) else "f32"


def measure_version(version_dir: Path, card: ArtifactCard) -> Latency:
    """Measure a published version as `measure_latency` measures a model, with OpenVINO and for one image.

    The graph is the one that the gateway runs: a quantized version's in int8, others' in float32.

    Args:
        version_dir: Folder of the version.
        card: Card of the version.

    Raises:
        ArtifactError: The version cannot be loaded.
        ModuleNotFoundError: OpenVINO is not installed.
    """
    runtime = import_extra("keras_archs.runtimes.openvino_runtime", "serve").OpenVinoRuntime()
    session = load_version(runtime, version_dir, card)
    return _measured(session.infer, _images((1, *card.preprocessing.size, card.preprocessing.channels)))


def _images(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _measured(infer: Infer, images: NDArray[np.uint8], engine: Engine = "openvino", runs: int = _RUNS) -> Latency:
    rounds = [_measured_once(infer, images, engine, runs)]
    while rounds[-1].disturbed and len(rounds) < _ROUNDS:
        rounds.append(_measured_once(infer, images, engine, runs))
    return min(rounds, key=lambda latency: latency.median)


def _measured_once(infer: Infer, images: NDArray[np.uint8], engine: Engine, runs: int) -> Latency:
    for _ in range(_WARM_UP_RUNS):
        infer(images)
    times: list[float] = []
    waited, start = seconds_waited(), time.perf_counter()
    while len(times) < runs or time.perf_counter() - start < _SECONDS:
        began = time.perf_counter()
        infer(images)
        times.append(1000 * (time.perf_counter() - began))
    elapsed, waited_after = time.perf_counter() - start, seconds_waited()
    share = None if waited is None or waited_after is None else max(0.0, waited_after - waited) / elapsed
    p25, median, p75, p90 = (float(value) for value in np.percentile(times, (25, 50, 75, 90)))
    return Latency(engine, len(images), median, p25, p75, p90, share)


@contextmanager
def _compiled(
    model: keras.Model, engine: Engine, shape: tuple[int, ...], threads: int, arithmetic: FloatArithmetic = "f32"
) -> Iterator[Infer]:
    """Lend a function from pixels to the model's output; the runtimes may read its files as long as it is used."""
    import keras

    if engine == "keras":

        def call(images: NDArray[Any]) -> NDArray[np.float32]:
            return np.asarray(model((images.astype(np.float32) - _SCALE) / _SCALE, training=False))

        yield call
        return
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"the engine {engine!r} needs Keras' TensorFlow backend; the backend is {keras.backend.backend()!r}: take "
            "the engine 'keras', or start the process with KERAS_BACKEND=tensorflow"
        )
    compiler = _for_openvino(threads, arithmetic) if engine == "openvino" else _for_tensorflow()
    with tempfile.TemporaryDirectory(prefix="keras-archs-") as folder:
        yield compiler(model, Path(folder), shape)


_Compiler = Callable[["keras.Model", Path, tuple[int, ...]], Infer]


def _for_openvino(threads: int, arithmetic: FloatArithmetic) -> _Compiler:
    library = import_extra("keras_archs.runtimes.openvino_runtime", "serve")
    runtime = library.OpenVinoRuntime(threads=threads, precision=arithmetic)

    def compiled(model: keras.Model, folder: Path, shape: tuple[int, ...]) -> Infer:
        from keras_archs.analysis.frozen_graph import write_graph

        graph = folder / "network.pb"
        write_graph(model, graph, input_shape=shape[1:], mean=_SCALE, std=_SCALE)
        infer: Infer = runtime.compile(graph, shape)
        return infer

    return compiled


def _for_tensorflow() -> _Compiler:
    import keras
    import tensorflow as tf

    from keras_archs.runtimes.tensorflow_runtime import TensorFlowRuntime

    def compiled(model: keras.Model, folder: Path, shape: tuple[int, ...]) -> Infer:
        def serve(images: tf.Tensor) -> tf.Tensor:
            return model((tf.cast(images, tf.float32) - _SCALE) / _SCALE, training=False)

        archive = keras.export.ExportArchive()
        archive.track(model)
        archive.add_endpoint("serve", serve, [tf.TensorSpec(shape, tf.uint8)])
        archive.write_out(folder, verbose=False)
        return TensorFlowRuntime().compile(folder, shape)

    return compiled
