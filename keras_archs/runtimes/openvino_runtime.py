"""OpenVINO: reads SavedModels without TensorFlow and runs them several times as fast on a CPU."""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Literal

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard
from keras_archs.runtimes.runtime import CPUS, ActivationMaps, Explain
from keras_archs.runtimes.saved_model import write_with_default

log = logging.getLogger(__name__)

Precision = Literal["f32", "bf16", "auto"]
Signature = Literal["serving_default", "explain"]


class OpenVinoRuntime:
    """Compiles SavedModels with OpenVINO, keeping the converted form: converting takes seconds, reading it does not."""

    def __init__(self, *, precision: Precision = "f32", streams: int = 1, cache_dir: Path | None = None) -> None:
        """Prepares the runtime.

        Args:
            precision: Arithmetic of the inference: "f32"; "bf16"; "auto" for what OpenVINO finds fastest here.
            streams: Images computed side by side; the cores are divided among them.
            cache_dir: Where converted models are kept; None, or a folder that cannot be written, for nowhere.
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
        """Compiles the `serving_default` signature of a version for single images, and runs it once."""
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(version_dir, card, "serving_default", images=shape)
        session = OpenVinoSession(requests, functools.partial(self._explainer, version_dir, card))
        # A process whose very first inferences run side by side can deadlock: OpenVINO's binding initialises itself in
        # them, one thread waiting for that with the GIL held, another for the GIL. (Seen in 3 of 40 processes.)
        session.infer(np.zeros(shape, np.uint8))
        return session

    def _explainer(self, version_dir: Path, card: ArtifactCard) -> Explain:
        shape = (1, *card.preprocessing.size, card.preprocessing.channels)
        requests = self._compiled(version_dir, card, "explain", images=shape, classes=(1,))

        def explain(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> ActivationMaps:
            with requests.one() as request:
                request.infer({"images": images, "classes": classes}, share_inputs=True)
                return ActivationMaps(*(np.array(request.get_tensor(name).data) for name in ActivationMaps._fields))

        return explain

    def _compiled(
        self, version_dir: Path, card: ArtifactCard, signature: Signature, **shapes: tuple[int, ...]
    ) -> _InferRequests:
        model = self._converted(version_dir, card, signature)
        model.reshape({name: list(shape) for name, shape in shapes.items()})
        return _InferRequests(self._core.compile_model(model, "CPU", self._config))

    def _converted(self, version_dir: Path, card: ArtifactCard, signature: Signature) -> ov.Model:
        if self._cache_dir is None:
            return self._read(version_dir, signature)
        path = self._cache_dir / f"{_content_key(card)}-{signature}.xml"
        if path.is_file():
            try:
                return self._core.read_model(path)
            except RuntimeError as error:
                log.warning("the converted form of %s is unreadable and is made anew: %s", card.name, error)
        model = self._read(version_dir, signature)
        try:
            _save(model, path)
        except OSError as error:
            log.warning("the converted form of %s is not kept: %s", card.name, error)
        return model

    def _read(self, version_dir: Path, signature: Signature) -> ov.Model:
        """Converts one signature of a SavedModel.

        OpenVINO converts `serving_default` only; asked for the outputs of another, its frontend gives an empty model.
        So another is read from a copy of the graph that calls it by that name. (To find the pooling and the
        classifier's weights among the nodes of the converted graph is to rely on what one release makes of them.)
        """
        if signature == "serving_default":
            return self._core.read_model(version_dir)
        with tempfile.TemporaryDirectory() as folder:
            write_with_default(version_dir, signature, Path(folder))
            return self._core.read_model(folder)


def _content_key(card: ArtifactCard) -> str:
    """The same for two versions only if they hold the same graph and OpenVINO converts it in the same way."""
    content = json.dumps([ov.get_version(), dict(card.checksums)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _save(model: ov.Model, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / path.name
        ov.save_model(model, made, compress_to_fp16=False)
        # the .xml is what is looked for, so it comes last
        made.with_suffix(".bin").replace(path.with_suffix(".bin"))
        made.replace(path)


class _InferRequests:
    """A compiled model and its idle infer requests."""

    def __init__(self, compiled: ov.CompiledModel) -> None:
        self._compiled = compiled
        self._idle: LifoQueue[ov.InferRequest] = LifoQueue()

    @contextmanager
    def one(self) -> Iterator[ov.InferRequest]:
        """A request that nobody else uses."""
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._compiled.create_infer_request()
        try:
            yield request
        finally:
            self._idle.put(request)


class OpenVinoSession:
    """A version's `serving_default`, compiled."""

    max_batch = 1  # streams side by side are as fast as batches, and no image waits for another

    def __init__(self, requests: _InferRequests, explainer: Callable[[], Explain]) -> None:
        self._requests = requests
        self.explainer = explainer

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities [1, classes] of one uint8 image [1, H, W, C]."""
        with self._requests.one() as request:
            request.infer([images], share_inputs=True)
            return np.array(request.get_output_tensor().data)
