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

from keras_archs.repository import artifact, reference_answers
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.reference_answers import TOLERANCE
from keras_archs.runtimes import openvino_graph
from keras_archs.runtimes.card_fit import check_fit
from keras_archs.runtimes.conversion_cache import ConversionCache
from keras_archs.runtimes.heap import give_back_memory
from keras_archs.runtimes.machine import usable_cores
from keras_archs.runtimes.runtime import (
    ActivationMaps,
    Arithmetic,
    Embed,
    Embeddings,
    Explain,
    FloatArithmetic,
    Infer,
    Precision,
    size_of,
)
from keras_archs.runtimes.silent_openvino import ov

log = logging.getLogger(__name__)

Signature = Literal["serving_default", "explain", "features"]

HALF_PRECISION_TOLERANCE: Final = 0.5
"""Largest difference that 16-bit arithmetic explains, as a share of the largest probability of the image.

bfloat16 has 8 significant bits. Measured: at most .23 by EfficientNet-Lite0 to Lite2 with ImageNet's weights, where the
network is undecided about the image, and .28 by untrained networks; the noise of a wrong conversion of Lite0 differs by
.88 to 1.00.
"""
AUTO_TOLERANCE: Final = 1 / 3
"""Largest difference for which the precision "auto" chooses bfloat16, as a share of the image's largest probability.

Within it, no class overtakes a class that is more than three times as probable. A few reference images suffice, because
the largest of a thousand differences per image is compared: they measure how large the noise is, not how often it
changes an answer. More drawn images would not help: the maximum grows with each image that the network is undecided
about, and does not count. Measured on the reference images: Lite0 .10, Lite1 .23, Lite2 .10, MobileNet-1.0 .30 with
ImageNet's weights, ResNet-56 with CIFAR-10's .01. On 120 crops of 20 photographs, these networks find the same class in
bfloat16 wherever float32 finds a class more than twice as probable as the next (341 crops of 341).
"""
INT8_TOLERANCE: Final = 0.15
"""Largest difference for which an int8 graph is used, as a share of the image's largest probability.

The graph is compared with what it answered where it was made. Measured with EfficientNet-Lite0 and a classifier of
digits: at most .07 between AMX and AVX-512 VNNI. Processors without such instructions for int8 saturate sums of
products, and differ by .26 and 1.00.
"""


def has_bfloat16(core: ov.Core) -> bool:
    """Return whether OpenVINO can compute in bfloat16 on this processor."""
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


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
            precision: Arithmetic of graphs in float32: "f32", "bf16", or "auto" for bfloat16 where the processor has it
                and the version answers its reference images in bfloat16 within `AUTO_TOLERANCE` of its reference
                answers, else float32. Of quantized versions, the int8 graph is computed, unless this processor answers
                the reference images with it otherwise than the processor that quantized.
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
        if precision != "f32" and not has_bfloat16(self._core):
            level = logging.WARNING if precision == "bf16" else logging.INFO
            log.log(level, "this CPU has no bfloat16: OpenVINO computes in float32")
            precision = "f32"
        self._precision = precision

    def estimate_memory(self, version_dir: Path) -> int:
        """Estimate the memory of a loaded version: the compiled weights are kept beside the original weights."""
        int8_weights = version_dir / artifact.INT8_WEIGHTS
        return 2 * (int8_weights.stat().st_size if int8_weights.is_file() else size_of(version_dir))

    def load(self, version_dir: Path, card: ArtifactCard) -> OpenVinoSession:
        """Compile the int8 graph of a version, or else its `serving_default`, for batches of one image, and run it."""
        if card.quantization:
            graph = self._core.read_model(version_dir / artifact.INT8_GRAPH)
            session = self._session(version_dir, card, graph, "int8")
            reason = _why_not_alike(session, version_dir, card, artifact.INT8_ANSWERS, INT8_TOLERANCE)
            if reason is None:
                return session
            log.warning("version %s of %s does not compute in int8: %s", version_dir.name, card.name, reason)
        graph = self._converted(version_dir, card, "serving_default")
        if self._precision != "auto":
            return self._session(version_dir, card, graph, self._precision)
        session = self._session(version_dir, card, graph, "bf16")
        reason = _why_not_alike(session, version_dir, card, artifact.REFERENCE_ANSWERS, AUTO_TOLERANCE)
        if reason is None:
            return session
        log.info("version %s of %s computes in float32: %s", version_dir.name, card.name, reason)
        return self._session(version_dir, card, graph, "f32")

    def _session(
        self, version_dir: Path, card: ArtifactCard, graph: ov.Model, arithmetic: Arithmetic
    ) -> OpenVinoSession:
        check_fit(card, _shape(graph.input("images")), _shape(graph.output("probabilities")))
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        of_others: FloatArithmetic = "f32" if arithmetic == "int8" else arithmetic
        requests = self._compiled(graph, {"images": shape}, of_others)
        saved_model = version_dir / artifact.SAVED_MODEL
        memory = openvino_graph.memory_of(graph)
        session = OpenVinoSession(
            requests.infer,
            functools.partial(self._explainer, version_dir, card, of_others),
            arithmetic=arithmetic,
            memory=memory,
            explainer_memory=2 * saved_model.stat().st_size if arithmetic == "int8" else memory,
            is_exact=of_others == "f32" and not openvino_graph.computes_in_half_precision(graph),
        )
        # Warm-up on one thread: if the first inferences of a process run in parallel, they can deadlock, because
        # OpenVINO's Python binding initialises itself in them: one thread holds the GIL and waits for the
        # initialisation, another initialises and waits for the GIL. (Seen in 3 of 40 processes.)
        session.infer(np.zeros(shape, np.uint8))
        give_back_memory()
        return session

    def load_embedder(self, version_dir: Path, card: ArtifactCard, arithmetic: Arithmetic) -> Embed:
        """Compile a graph that computes the probabilities and the features of an image together.

        Args:
            version_dir: Folder of the version.
            card: Card of the version.
            arithmetic: What the graph computes with.

        Raises:
            ValueError: The version has no signature `features`, or an int8 graph, which has none.
        """
        if arithmetic == "int8":
            raise ValueError("the int8 graph of a version gives no embeddings; use a version that is not quantized")
        graph = openvino_graph.joined(
            self._converted(version_dir, card, "serving_default"), self._converted(version_dir, card, "features")
        )
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(graph, {"images": shape}, arithmetic)

        def embed(images: NDArray[np.uint8]) -> Embeddings:
            with requests.idle() as request:
                request.infer({"images": images}, share_inputs=True)
                return Embeddings(*(np.array(request.get_tensor(name).data) for name in Embeddings._fields))

        embed(np.zeros(shape, np.uint8))  # on one thread: see `_session`
        give_back_memory()
        return embed

    def compile(self, saved_model: Path, input_shape: tuple[int, ...]) -> Infer:
        """Compile the signature `serving_default` of a SavedModel that needs no card; nothing is cached.

        Args:
            saved_model: Folder of a SavedModel whose `serving_default` has one input and one output, or the file of a
                frozen TensorFlow graph (.pb) that has.
            input_shape: Shape of the inputs, with the batch; the only shape that the function accepts.

        Returns:
            A function from an input array, of the signature's dtype, to the output array.
        """
        graph = openvino_graph.read_graph(self._core, saved_model)
        return self._compiled(graph, {0: input_shape}, "bf16" if self._precision == "bf16" else "f32").infer

    def _explainer(self, version_dir: Path, card: ArtifactCard, arithmetic: FloatArithmetic) -> Explain:
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        graph = self._converted(version_dir, card, "explain")
        requests = self._compiled(graph, {"images": shape, "classes": (1,)}, arithmetic)
        give_back_memory()

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            with requests.idle() as request:
                request.infer({"images": images, "classes": classes}, share_inputs=True)
                return ActivationMaps(*(np.array(request.get_tensor(name).data) for name in ActivationMaps._fields))

        return explain

    def _compiled(
        self, model: ov.Model, shapes: Mapping[str | int, tuple[int, ...]], arithmetic: FloatArithmetic
    ) -> _InferRequests:
        model.reshape({key: list(shape) for key, shape in shapes.items()})
        config = self._config | {"INFERENCE_PRECISION_HINT": arithmetic}
        return _InferRequests(self._core.compile_model(model, "CPU", config))

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
    """A compiled model with a pool of idle infer requests, so that threads can share it."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._compiled = compiled
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
    """A version whose int8 graph, or whose `serving_default`, OpenVINO has compiled."""

    max_batch = 1  # streams in parallel are as fast as batches, and no image waits for a batch to fill

    def __init__(
        self,
        infer: Infer,
        explainer: Callable[[], Explain],
        *,
        arithmetic: Arithmetic,
        memory: int,
        explainer_memory: int,
        is_exact: bool,
    ) -> None:
        self._infer = infer
        self.explainer = explainer
        self.arithmetic = arithmetic
        self.explainer_arithmetic: Arithmetic = "f32" if arithmetic == "int8" else arithmetic
        self.memory = memory
        self.explainer_memory = explainer_memory  # each signature is compiled with its own copy of the weights
        self.explainer_tolerance = TOLERANCE if is_exact else HALF_PRECISION_TOLERANCE
        self.tolerance = INT8_TOLERANCE if arithmetic == "int8" else self.explainer_tolerance
        alternatives = "the runtime `tensorflow`" if is_exact else "the precision `f32` or the runtime `tensorflow`"
        self.remedy = f"OpenVINO cannot run this graph as it was exported: use {alternatives}"

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the probabilities [1, classes] of one uint8 image [1, H, W, C]."""
        return self._infer(images)


def _why_not_alike(
    session: OpenVinoSession, version_dir: Path, card: ArtifactCard, file: Path, tolerance: float
) -> str | None:
    """Return why the arithmetic of a session must not be used; None if the answers to the reference images are close.

    Args:
        session: The version, compiled.
        version_dir: Folder of the version.
        card: Card of the version.
        file: Path of the reference answers in the version.
        tolerance: Largest difference that is allowed, as a share of the largest probability of the image.
    """
    answers = reference_answers.read(version_dir, card, file)
    if answers is None:
        return f"it has no reference answers with which {session.arithmetic} could be compared"
    received = np.concatenate([session.infer(image[np.newaxis]) for image in answers.images])
    try:
        reference_answers.check(answers, received, tolerance)
    except ArtifactError as error:
        return f"in {session.arithmetic}, {error}"
    return None
