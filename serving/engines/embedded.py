"""The engine that runs models inside the gateway's process, from the repository's files.

A model is loaded on first use. A newer version is loaded beside the current version and replaces it once it is ready;
if it cannot be loaded, the current version continues to answer, and the newer version's status contains the reason.
All state belongs to the event loop; only loading and inference run on threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactCard
from keras_archs.repository.checksums import verify
from keras_archs.runtimes.runtime import ActivationMaps, Explain, Runtime, Session
from serving.core.engine import BackendStatus, MapPrediction, Prediction, State, VersionStatus
from serving.core.errors import ModelUnavailableError
from serving.core.repository import ModelEntry, ModelSpec
from serving.core.workers import WorkerPool
from serving.engines.repository_engine import RepositoryEngine, VersionKey

log = logging.getLogger(__name__)

Result = TypeVar("Result")
RETRY_SECONDS = 60.0  # until a version that failed to load is tried again; TensorFlow Serving waits as long


@dataclass
class EmbeddedModel:
    """A loaded version.

    Attributes:
        version: Version number.
        card: Model card.
        session: Compiled `serving_default` signature.
        engine: Engine whose threads run the session.
        size: Estimated memory in bytes.
        explainer: Loading or loaded `explain` signature; None until the first explanation.
    """

    version: int
    card: ArtifactCard
    session: Session
    engine: EmbeddedEngine
    size: int
    explainer: asyncio.Task[Explain] | None = None

    async def predict(self, images: NDArray[np.uint8], deadline: float) -> Prediction:
        """Compute class probabilities of uint8 images [N, H, W, C]; the caller cancels at the deadline."""
        step = self.session.max_batch
        batches = [images[start : start + step] for start in range(0, len(images), step)]
        timed = await self.engine.workers.map(self.session.infer, batches)
        return Prediction(np.concatenate(timed.results), timed.queue, timed.busy)

    async def explain(self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float) -> MapPrediction:
        """Compute class activation maps of uint8 images [N, H, W, C]; the caller cancels at the deadline."""
        explain = await self.engine.explainer(self)
        step = self.session.max_batch
        batches = [slice(start, start + step) for start in range(0, len(images), step)]
        timed = await self.engine.workers.map(lambda batch: explain(images[batch], classes[batch]), batches)
        activation_maps = ActivationMaps(*map(np.concatenate, zip(*timed.results, strict=True)))
        return MapPrediction(activation_maps, timed.queue, timed.busy)


@dataclass(frozen=True)
class _Failure:
    reason: str
    retry_at: float = field(default_factory=lambda: time.monotonic() + RETRY_SECONDS)


class EmbeddedEngine(RepositoryEngine):
    """Runs the models of a repository in this process."""

    def __init__(
        self,
        repository: Path,
        runtime: Runtime,
        *,
        workers: int,
        poll_seconds: float = 1.0,
        memory_limit: int | None = None,
    ) -> None:
        """Prepare an engine, which `start` starts.

        Args:
            repository: Folder of the model repository.
            runtime: Library that compiles and runs the models.
            workers: Inference threads.
            poll_seconds: Interval between two reads of the repository.
            memory_limit: Total bytes of the loaded models, estimated from their files; the least recently used models
                are unloaded to stay below it. None for no limit.
        """
        super().__init__(repository, poll_seconds=poll_seconds)
        self._runtime = runtime
        self._memory_limit = memory_limit
        self.workers = WorkerPool(workers, "infer")
        # one load at a time, because loading needs much memory and `_make_room` makes room for one model
        self._load_lock = asyncio.Lock()
        self._loaded: OrderedDict[VersionKey, EmbeddedModel] = OrderedDict()  # least recently used first
        self._loading: dict[VersionKey, asyncio.Task[EmbeddedModel]] = {}
        self._failed: dict[VersionKey, _Failure] = {}
        self._current: dict[str, int] = {}  # the version that answers if a request selects the newest
        self._background: set[asyncio.Task[Any]] = set()  # the event loop holds only weak references to tasks

    async def start(self) -> None:
        """Read the repository and start to watch it."""
        await self._watch.start(self._follow_repository)

    async def close(self) -> None:
        """Stop watching, wait for running inference and unload all models."""
        await self._watch.close()
        for task in [*self._background, *self._loading.values()]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await asyncio.to_thread(self.workers.close)
        self._loaded.clear()

    def not_ready_reason(self) -> str | None:
        """Return why the repository cannot be served at present; None if it can."""
        return self._watch.error

    def backends(self) -> Sequence[BackendStatus]:
        """Return no servers: this engine computes in its own process."""
        return ()

    async def acquire(self, spec: ModelSpec) -> EmbeddedModel:
        """Return the version that answers `spec`, loaded; simultaneous requests share one load."""
        entry = self._watch.entry(spec.name)
        while True:
            version = self._select(entry, spec)
            try:
                model = await self._get((entry.name, version))
            except ModelUnavailableError:
                if self._select(entry, spec) == version:
                    raise  # no other version can answer
                continue
            if spec.selects_newest:
                self._promote(entry.name, model.version)
            return model

    async def explainer(self, model: EmbeddedModel) -> Explain:
        """Return the `explain` function of a model, loaded on first use; simultaneous requests share one load."""
        if model.explainer is None:
            loading = self._load_explainer(model)
            model.explainer = self._in_background(loading, name=f"explain {model.card.name}/{model.version}")
            model.explainer.add_done_callback(_retrieve_exception)
        return await asyncio.shield(model.explainer)

    def _select(self, entry: ModelEntry, spec: ModelSpec) -> int:
        """Return the current version while it is loaded, else the first candidate that has not failed."""
        current = self._current.get(entry.name)
        if spec.selects_newest and (entry.name, current) in self._loaded and current in entry.versions:
            return current
        return self._first_sound(entry, spec)

    def _first_sound(self, entry: ModelEntry, spec: ModelSpec) -> int:
        candidates = entry.candidates(spec)
        return next((version for version in candidates if not self._has_failed((entry.name, version))), candidates[0])

    async def _get(self, key: VersionKey) -> EmbeddedModel:
        if model := self._loaded.get(key):
            self._loaded.move_to_end(key)
            return model
        if self._has_failed(key):
            raise ModelUnavailableError(f"version {key[1]} of {key[0]} cannot be loaded: {self._failed[key].reason}")
        return await asyncio.shield(self._load_task(key))  # a cancelled request must not cancel the load for the others

    def _load_task(self, key: VersionKey) -> asyncio.Task[EmbeddedModel]:
        if key not in self._loading:
            task = self._loading[key] = asyncio.create_task(self._load(key), name=f"load {key[0]}/{key[1]}")
            task.add_done_callback(_retrieve_exception)
        return self._loading[key]

    async def _load(self, key: VersionKey) -> EmbeddedModel:
        name, version = key
        version_dir = self._version_dir(key)
        started = time.monotonic()
        try:
            async with self._load_lock:
                size = await asyncio.to_thread(_size_on_disk, version_dir)
                self._make_room(size)
                card, session = await asyncio.to_thread(self._read, version_dir)
                model = self._loaded[key] = EmbeddedModel(version, card, session, self, size)
        except Exception as error:  # a damaged version may raise anything
            # a runtime's message may contain paths, so it goes to the log only
            reason = str(error) if isinstance(error, artifact.ArtifactError) else "the engine cannot read its graph"
            self._failed[key] = _Failure(reason)
            log.error("cannot load version %d of %s: %s", version, name, error)
            raise ModelUnavailableError(f"version {version} of {name} cannot be loaded: {reason}") from error
        finally:
            self._loading.pop(key, None)
        self._failed.pop(key, None)
        log.info("loaded version %d of %s in %.2f s", version, name, time.monotonic() - started)
        return model

    def _read(self, version_dir: Path) -> tuple[ArtifactCard, Session]:
        card = artifact.read_card(version_dir)
        verify(version_dir, card)
        return card, self._runtime.load(version_dir, card)

    async def _load_explainer(self, model: EmbeddedModel) -> Explain:
        started = time.monotonic()
        try:
            async with self._load_lock:
                self._make_room(model.size)
                explain = await asyncio.to_thread(model.session.explainer)
        except Exception as error:  # a damaged version may raise anything
            model.explainer = None  # the next request tries again
            log.error("cannot explain with version %d of %s: %s", model.version, model.card.name, error)
            raise ModelUnavailableError(f"version {model.version} of {model.card.name} cannot explain now") from error
        model.size *= 2  # the compiled `explain` signature holds its own copy of the weights
        seconds = time.monotonic() - started
        log.info("loaded the explain signature of version %d of %s in %.2f s", model.version, model.card.name, seconds)
        return explain

    def _make_room(self, size: int) -> None:
        """Unload the least recently used models until `size` more bytes fit; requests in flight keep their models."""
        if self._memory_limit is None:
            return
        while self._loaded and size + sum(model.size for model in self._loaded.values()) > self._memory_limit:
            (name, version), _ = self._loaded.popitem(last=False)
            log.info("unloaded version %d of %s to make room", version, name)

    async def _follow_repository(self) -> None:
        """Unload versions that are no longer served, and load newer versions of loaded models."""
        self._drop_removed()
        for name, current in list(self._current.items()):
            entry = self._watch.entries[name]
            newest = self._first_sound(entry, ModelSpec(name))
            if newest != current and (name, newest) not in self._loading:
                self._in_background(self._replace(name, newest), name=f"replace {name}/{current}")

    def _drop_removed(self) -> None:
        for key in [*self._loaded, *self._failed]:
            if key[0] not in self._watch.entries or key[1] not in self._watch.entries[key[0]].versions:
                self._loaded.pop(key, None)
                self._failed.pop(key, None)
        for name in [name for name in self._current if name not in self._watch.entries]:
            del self._current[name]

    def _in_background(self, work: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
        task = asyncio.create_task(work, name=name)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _replace(self, name: str, version: int) -> None:
        with contextlib.suppress(ModelUnavailableError):  # recorded and logged by _load
            await self._get((name, version))
            self._promote(name, version)

    def _promote(self, name: str, version: int) -> None:
        """Make a version the current version, unless a newer version has become current meanwhile."""
        entry, current = self._watch.entries.get(name), self._current.get(name)
        if entry is None or current == version:
            return
        if current is not None and (name, current) in self._loaded and current in entry.versions:
            if current > version:
                return
            if current not in entry.labels.values():
                del self._loaded[name, current]
        self._current[name] = version

    def _status(self, entry: ModelEntry, version: int) -> VersionStatus:
        key = (entry.name, version)
        labels = entry.labels_of(version)
        if key in self._loaded:
            return VersionStatus(version, State.READY, labels)
        if key in self._loading:
            return VersionStatus(version, State.LOADING, labels)
        if failure := self._failed.get(key):
            return VersionStatus(version, State.FAILED, labels, failure.reason)
        return VersionStatus(version, State.IDLE, labels)

    def _has_failed(self, key: VersionKey) -> bool:
        failure = self._failed.get(key)
        return failure is not None and time.monotonic() < failure.retry_at

    def _loaded_card(self, key: VersionKey) -> ArtifactCard | None:
        model = self._loaded.get(key)
        return model.card if model else None


def _retrieve_exception(task: asyncio.Task[Any]) -> None:
    """Mark a failure as seen: it is already logged, and asyncio would log it again if no request waits for the task."""
    if not task.cancelled():
        task.exception()


def _size_on_disk(version_dir: Path) -> int:
    return sum(path.stat().st_size for path in version_dir.rglob("*") if path.is_file())
