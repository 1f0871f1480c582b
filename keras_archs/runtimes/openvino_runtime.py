"""The OpenVINO runtime: reads SavedModels without TensorFlow and runs them several times as fast on a CPU."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.reference_answers import TOLERANCE
from keras_archs.runtimes import openvino_graph
from keras_archs.runtimes.card_fit import check_fit
from keras_archs.runtimes.conversion_cache import ConversionCache
from keras_archs.runtimes.heap import give_back_memory
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import ActivationMaps, Explain, Infer, size_of
from keras_archs.runtimes.silent_openvino import ov

log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16", "auto"]
Signature = Literal["serving_default", "explain"]

HALF_PRECISION_TOLERANCE: Final = 0.5
"""Largest difference that 16-bit arithmetic explains, as a share of the largest probability of the image.

bfloat16 has 8 significant bits. Measured: at most .23 by EfficientNet-Lite0 to Lite2 with ImageNet's weights, where the
network is undecided about the image, and .28 by untrained networks; the noise of a wrong conversion of Lite0 differs by
.88 to 1.00.
"""


class OpenVinoRuntime:
    """Runtime that compiles SavedModels with OpenVINO and caches converted versions: converting takes seconds."""

    def __init__(
        self,
        *,
        precision: Precision = "f32",
        threads: int | None = None,
        streams: int = 1,
        cache_dir: Path | None = None,
    ) -> None:
        """Prepare the runtime.

        Args:
            precision: Arithmetic of the inference: "f32", "bf16", or "auto" for OpenVINO's fastest on this machine.
            threads: Threads that compute, at least 1; None for one per core that the process may use.
            streams: Number of images computed in parallel, at least 1; the streams share the threads.
            cache_dir: Folder for converted versions, created if needed; None for no cache. If the folder cannot be
                written, the runtime logs a warning and continues without the cache.
        """
        self._core = ov.Core()
        self._cache = ConversionCache(cache_dir, ov.get_version()) if cache_dir else None
        self._config: dict[str, Any] = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads or usable_cores(),
            "ENABLE_CPU_PINNING": False,  # pinned threads and the decoding threads would queue for the same core
        }
        if precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            log.warning("this CPU has no bfloat16: OpenVINO computes in float32")
        if precision != "auto":
            self._config["INFERENCE_PRECISION_HINT"] = precision

    def estimate_memory(self, version_dir: Path) -> int:
        """Estimate the memory of a loaded version: the compiled weights are kept beside the original weights."""
        return 2 * size_of(version_dir)

    def load(self, version_dir: Path, card: ArtifactCard) -> OpenVinoSession:
        """Compile the signature `serving_default` of a version for batches of one image, and run it once."""
        graph = self._converted(version_dir, card, "serving_default")
        check_fit(card, _shape(graph.input("images")), _shape(graph.output("probabilities")))
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(graph, {"images": shape})
        session = OpenVinoSession(
            requests.infer,
            functools.partial(self._explainer, version_dir, card),
            memory=openvino_graph.memory_of(graph),
            is_exact=requests.is_exact and not openvino_graph.computes_in_half_precision(graph),
        )
        # Warm-up on one thread: if the first inferences of a process run in parallel, they can deadlock, because
        # OpenVINO's Python binding initialises itself in them: one thread holds the GIL and waits for the
        # initialisation, another initialises and waits for the GIL. (Seen in 3 of 40 processes.)
        session.infer(np.zeros(shape, np.uint8))
        del graph
        give_back_memory()
        return session

    def compile(self, saved_model: Path, input_shape: tuple[int, ...]) -> Infer:
        """Compile the signature `serving_default` of a SavedModel that needs no card; nothing is cached.

        Args:
            saved_model: Folder of a SavedModel whose `serving_default` has one input and one output, or the file of a
                frozen TensorFlow graph (.pb) that has.
            input_shape: Shape of the inputs, with the batch; the only shape that the function accepts.

        Returns:
            A function from an input array, of the signature's dtype, to the output array.
        """
        return self._compiled(openvino_graph.read_graph(self._core, saved_model), {0: input_shape}).infer

    def _explainer(self, version_dir: Path, card: ArtifactCard) -> Explain:
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(self._converted(version_dir, card, "explain"), {"images": shape, "classes": (1,)})
        give_back_memory()

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            with requests.idle() as request:
                request.infer({"images": images, "classes": classes}, share_inputs=True)
                return ActivationMaps(*(np.array(request.get_tensor(name).data) for name in ActivationMaps._fields))

        return explain

    def _compiled(self, model: ov.Model, shapes: Mapping[str | int, tuple[int, ...]]) -> _InferRequests:
        model.reshape({key: list(shape) for key, shape in shapes.items()})
        return _InferRequests(self._core.compile_model(model, "CPU", self._config))

    def _converted(self, version_dir: Path, card: ArtifactCard, signature: Signature) -> ov.Model:
        """Return the graph of a signature, from the cache if it has the graph."""
        if self._cache is None:
            return openvino_graph.read_graph(self._core, version_dir, signature)
        path = self._cache.find(card, signature)
        if path is not None:
            try:
                return self._core.read_model(path)
            except RuntimeError as error:
                log.warning("the cached conversion of %s cannot be read and is made again: %s", card.name, error)
        graph = openvino_graph.read_graph(self._core, version_dir, signature)
        self._cache.store(version_dir, card, signature, functools.partial(_save, graph))
        return graph


def _save(graph: ov.Model, path: Path) -> None:
    ov.save_model(graph, path, compress_to_fp16=False)


def _shape(port: Any) -> list[int | None]:
    return [size.get_length() if size.is_static else None for size in port.get_partial_shape()]


class _InferRequests:
    """A compiled model with a pool of idle infer requests, so that threads can share it.

    Attributes:
        is_exact: Whether the model computes in float32, not in a 16-bit type.
    """

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._compiled = compiled
        self.is_exact = compiled.get_property("INFERENCE_PRECISION_HINT") == ov.Type.f32
        self._idle: LifoQueue[ov.InferRequest] = LifoQueue()

    @contextmanager
    def idle(self) -> Iterator[ov.InferRequest]:
        """Lend a request to one thread; a new request is created if all are in use."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)

    def infer(self, array: NDArray[Any]) -> NDArray[np.float32]:
        """Compute the only output for the only input."""
        with self.idle() as request:
            request.infer([array], share_inputs=True)
            return np.array(request.get_output_tensor().data)


class OpenVinoSession:
    """A version whose `serving_default` OpenVINO has compiled."""

    max_batch = 1  # streams in parallel are as fast as batches, and no image waits for a batch to fill

    def __init__(self, infer: Infer, explainer: Callable[[], Explain], *, memory: int, is_exact: bool) -> None:
        self._infer = infer
        self.explainer = explainer
        self.memory = self.explainer_memory = memory  # each signature is compiled with its own copy of the weights
        self.tolerance = TOLERANCE if is_exact else HALF_PRECISION_TOLERANCE
        alternatives = "the runtime `tensorflow`" if is_exact else "the precision `f32` or the runtime `tensorflow`"
        self.remedy = f"OpenVINO cannot run this graph as it was exported: use {alternatives}"

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the probabilities [1, classes] of one uint8 image [1, H, W, C]."""
        return self._infer(images)
