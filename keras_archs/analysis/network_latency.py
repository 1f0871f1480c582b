"""Latencies of the registry's networks, measured once and kept. No weights are loaded: their values do not matter.

Measured on EfficientNet-Lite0: the same latency, within the spread, with initial weights, with ImageNet's weights, and
by the published version.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Final

from keras_archs.analysis.choice import Candidate
from keras_archs.analysis.latency import Latency, measure_latency
from keras_archs.analysis.latency_cache import Conditions, LatencyCache
from keras_archs.registry import create_model
from keras_archs.runtimes.heap import give_back_memory
from keras_archs.runtimes.processor import processor_name
from keras_archs.runtimes.runtime import FloatArithmetic

if TYPE_CHECKING:
    import keras

_IN_WORDS: Final[Mapping[FloatArithmetic, str]] = {"f32": "float32", "bf16": "bfloat16"}
_CONVOLUTION: Final = "convolutions"
_SIDE, _CHANNELS, _LAYERS = 28, 256, 2
"""3x3 convolutions of this size computed most multiply-adds per second of six sizes."""


class NetworkLatencies:
    """Latencies of networks for one image on this machine, with OpenVINO."""

    def __init__(self, threads: int, arithmetic: FloatArithmetic, cache: LatencyCache, *, again: bool = False) -> None:
        """Prepare the measurements; Keras is imported by the first.

        Args:
            threads: Threads that compute an image, at least 1.
            arithmetic: What the networks compute with.
            cache: Cache of the latencies.
            again: Whether to measure networks again whose latencies are in the cache.
        """
        self.threads = threads
        self.arithmetic: FloatArithmetic = arithmetic
        self.processor = processor_name()
        self.openvino = metadata.version("openvino")
        self._cache = cache
        self._again = again

    @property
    def computation(self) -> str:
        """How an image is computed, e.g. "in bfloat16 on 1 thread"."""
        return f"in {_IN_WORDS[self.arithmetic]} on {self.threads} thread{'s' if self.threads > 1 else ''}"

    def find(self, candidate: Candidate) -> Latency | None:
        """Return the stored latency of a network; None if it has to be measured."""
        return None if self._again else self._cache.find(self._conditions_of(candidate))

    def measure(self, candidate: Candidate) -> Latency:
        """Build a network without loading weights, measure it and store its latency."""
        import keras

        entry = candidate.entry
        keras.backend.clear_session()
        model = create_model(entry.network, input_shape=(*entry.preprocessing.size, 3), **entry.arguments)
        latency = measure_latency(model, threads=self.threads, arithmetic=self.arithmetic)
        self._cache.store(self._conditions_of(candidate), latency)
        del model
        give_back_memory()
        return latency

    def convolution_rate(self) -> float:
        """Return the multiply-adds per millisecond of large convolutions: about as many as the fastest networks'."""
        conditions = self._conditions(_CONVOLUTION, {}, (_SIDE, _SIDE))
        latency = None if self._again else self._cache.find(conditions)
        if latency is None:
            latency = measure_latency(_convolutions(), threads=self.threads, arithmetic=self.arithmetic)
            self._cache.store(conditions, latency)
        return _LAYERS * (3 * _CHANNELS * _SIDE) ** 2 / latency.median

    def _conditions_of(self, candidate: Candidate) -> Conditions:
        entry = candidate.entry
        return self._conditions(entry.network, dict(entry.arguments), entry.preprocessing.size)

    def _conditions(self, network: str, arguments: dict[str, object], size: tuple[int, int]) -> Conditions:
        return Conditions(
            network=network,
            arguments=arguments,
            size=size,
            batch=1,
            threads=self.threads,
            arithmetic=self.arithmetic,
            processor=self.processor,
            openvino=self.openvino,
            keras_archs=metadata.version("keras-archs"),
        )


def _convolutions() -> keras.Model:
    import keras

    x = images = keras.Input((_SIDE, _SIDE, _CHANNELS))
    for _ in range(_LAYERS):
        x = keras.layers.Conv2D(_CHANNELS, 3, padding="same", activation="relu")(x)
    return keras.Model(images, keras.layers.GlobalAveragePooling2D()(x))
