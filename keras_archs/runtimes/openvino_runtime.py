"""The OpenVINO runtime: reads SavedModels without TensorFlow and runs them several times as fast on a CPU."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard
from keras_archs.runtimes.runtime import CPUS, ActivationMaps, Explain, Infer
from keras_archs.runtimes.saved_model import write_with_default

log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16", "auto"]
Signature = Literal["serving_default", "explain"]


class OpenVinoRuntime:
    """Runtime that compiles SavedModels with OpenVINO and caches converted versions: converting takes seconds."""

    def __init__(self, *, precision: Precision = "f32", streams: int = 1, cache_dir: Path | None = None) -> None:
        """Prepare the runtime.

        Args:
            precision: Arithmetic of the inference: "f32", "bf16", or "auto" for OpenVINO's fastest on this machine.
            streams: Number of images computed in parallel, at least 1; the streams share the cores.
            cache_dir: Folder for converted versions, created if needed; None for no cache. If the folder cannot be
                written, the runtime logs a warning and continues without the cache.
        """
        self._core = ov.Core()
        self._cache_dir = cache_dir
        self._config: dict[str, Any] = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": CPUS,
            "ENABLE_CPU_PINNING": False,  # pinned threads and the decoding threads would queue for the same core
        }
        if precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            log.warning("this CPU has no bfloat16: OpenVINO computes in float32")
        if precision != "auto":
            self._config["INFERENCE_PRECISION_HINT"] = precision

    def load(self, version_dir: Path, card: ArtifactCard) -> OpenVinoSession:
        """Compile the signature `serving_default` of a version for batches of one image, and run it once."""
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(self._converted(version_dir, card, "serving_default"), {"images": shape})
        session = OpenVinoSession(requests.infer, functools.partial(self._explainer, version_dir, card))
        # Warm-up on one thread: if the first inferences of a process run in parallel, they can deadlock, because
        # OpenVINO's Python binding initialises itself in them: one thread holds the GIL and waits for the
        # initialisation, another initialises and waits for the GIL. (Seen in 3 of 40 processes.)
        session.infer(np.zeros(shape, np.uint8))
        return session

    def compile(self, saved_model: Path, input_shape: tuple[int, ...]) -> Infer:
        """Compile the signature `serving_default` of a SavedModel that needs no card; nothing is cached.

        Args:
            saved_model: Folder of a SavedModel whose `serving_default` has one input and one output.
            input_shape: Shape of the inputs, with the batch; the only shape that the function accepts.

        Returns:
            A function from an input array, of the signature's dtype, to the output array.
        """
        return self._compiled(self._core.read_model(saved_model), {0: input_shape}).infer

    def _explainer(self, version_dir: Path, card: ArtifactCard) -> Explain:
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(self._converted(version_dir, card, "explain"), {"images": shape, "classes": (1,)})

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            with requests.idle() as request:
                request.infer({"images": images, "classes": classes}, share_inputs=True)
                return ActivationMaps(*(np.array(request.get_tensor(name).data) for name in ActivationMaps._fields))

        return explain

    def _compiled(self, model: ov.Model, shapes: Mapping[str | int, tuple[int, ...]]) -> _InferRequests:
        model.reshape({key: list(shape) for key, shape in shapes.items()})
        return _InferRequests(self._core.compile_model(model, "CPU", self._config))

    def _converted(self, version_dir: Path, card: ArtifactCard, signature: Signature) -> ov.Model:
        if self._cache_dir is None:
            return self._read(version_dir, signature)
        path = self._cache_dir / f"{_content_key(card)}-{signature}.xml"
        if path.is_file():
            try:
                return self._core.read_model(path)
            except RuntimeError as error:
                log.warning("the cached conversion of %s cannot be read and is made again: %s", card.name, error)
        model = self._read(version_dir, signature)
        try:
            _save(model, path)
        except OSError as error:
            log.warning("the conversion of %s cannot be cached: %s", card.name, error)
        return model

    def _read(self, version_dir: Path, signature: Signature) -> ov.Model:
        """Convert one signature of a SavedModel.

        OpenVINO converts only `serving_default`: asked for the outputs of another signature, its frontend returns an
        empty model. So another signature is read from a copy of the graph in which it is `serving_default`. (Cutting
        the pooling and the classifier's weights out of the converted graph would depend on how one OpenVINO release
        names its nodes.)
        """
        if signature == "serving_default":
            return self._core.read_model(version_dir)
        with tempfile.TemporaryDirectory() as folder:
            write_with_default(version_dir, signature, Path(folder))
            return self._core.read_model(folder)


def _content_key(card: ArtifactCard) -> str:
    """Return a key that two versions share only if the graph and the OpenVINO release are the same."""
    content = json.dumps([ov.get_version(), dict(card.checksums)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _save(model: ov.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        incoming = Path(folder) / path.name
        ov.save_model(model, incoming, compress_to_fp16=False)
        # the .xml last: `_converted` takes its presence for a complete conversion
        incoming.with_suffix(".bin").replace(path.with_suffix(".bin"))
        incoming.replace(path)


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
    """A version whose `serving_default` OpenVINO has compiled."""

    max_batch = 1  # streams in parallel are as fast as batches, and no image waits for a batch to fill

    def __init__(self, infer: Infer, explainer: Callable[[], Explain]) -> None:
        self._infer = infer
        self.explainer = explainer

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the probabilities [1, classes] of one uint8 image [1, H, W, C]."""
        return self._infer(images)
