"""The engine that runs models inside the gateway's process, from the repository's files.

A model is loaded on first use. A newer version is loaded beside the current version and replaces it once it is ready;
if it cannot be loaded, the current version continues to answer, and the newer version's status contains the reason.
All state belongs to the event loop; only loading and inference run on threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository import artifact
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.loading import batches_for, load_explainer, load_version
from keras_archs.runtimes.runtime import ActivationMaps, Arithmetic, Explain, Infer, Runtime, Session
from serving.core.access import Caller
from serving.core.engine import BackendStatus, MapPrediction, Prediction, State, VersionStatus
from serving.core.errors import ModelUnavailableError
from serving.core.fair_pool import FairPool, light
from serving.core.priority import give_way
from serving.core.repository import ModelEntry, ModelSpec
from serving.core.workers import Timed
from serving.engines.repository_engine import RepositoryEngine, VersionKey

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")
Result = TypeVar("Result")
RETRY_SECONDS = 60.0  # until a version that failed to load is tried again; TensorFlow Serving waits as long
RELEASE_SECONDS = 5.0  # for requests in flight to let go of an unloaded model before the next one is loaded


@dataclass(eq=False)
class EmbeddedModel:
    """A loaded version.

    Attributes:
        version: Version number.
        folder: Folder that the version was loaded from.
        card: Model card.
        session: Compiled `serving_default` signature.
        engine: Engine whose threads run the session.
        size: Estimated memory in bytes.
        calls: Predictions and explanations in progress.
        explainer: Loading or loaded `explain` signature; None until the first explanation.
    """

    version: int
    folder: Path
    card: ArtifactCard
    session: Session
    engine: EmbeddedEngine
    size: int
    calls: int = 0
    explainer: asyncio.Task[Explain] | None = None

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes the probabilities."""
        return self.session.arithmetic

    @contextlib.contextmanager
    def per_image(self) -> Iterator[Infer | None]:
        """Lend the function that computes one image, if the runtime gains nothing by batches."""
        with self._in_use():
            yield self.session.infer if self.session.max_batch == 1 else None

    async def predict(self, images: NDArray[np.uint8], deadline: float, caller: Caller) -> Prediction:
        """Compute class probabilities of uint8 images [N, H, W, C]; the service cancels at the deadline."""
        batches = [images[batch] for batch in batches_for(self.session, len(images))]
        with self._in_use():
            timed = await self._map(self.session.infer, batches, caller)
        return Prediction(np.concatenate(timed.results), timed.queue, timed.busy)

    async def explain(
        self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float, caller: Caller
    ) -> MapPrediction:
        """Compute class activation maps of uint8 images [N, H, W, C]; the service cancels at the deadline."""
        with self._in_use():
            explain = await self.engine.explainer(self)
            batches = batches_for(self.session, len(images))
            timed = await self._map(lambda batch: explain(images[batch], classes[batch]), batches, caller)
        activation_maps = ActivationMaps(*map(np.concatenate, zip(*timed.results, strict=True)))
        return MapPrediction(activation_maps, timed.queue, timed.busy, self.session.explainer_arithmetic)

    def awaits_explainer(self) -> bool:
        """Return whether the `explain` signature is being loaded."""
        return self.explainer is not None and not self.explainer.done()

    async def _map(self, compute: Callable[[Batch], Result], batches: Sequence[Batch], caller: Caller) -> Timed[Result]:
        """Compute batches on the engine's threads."""
        tasks = [light(functools.partial(compute, batch)) for batch in batches]
        return await self.engine.workers.run(tasks, caller, self.card.name)

    @contextlib.contextmanager
    def _in_use(self) -> Iterator[None]:
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1


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
            workers: Inferences of one caller with one model that may run at the same time.
            poll_seconds: Interval between two reads of the repository.
            memory_limit: Bytes of memory for the loaded models, as the runtime estimates them; the least recently used
                models are unloaded to stay below it. A larger model is loaded alone. None for no limit.
        """
        super().__init__(repository, poll_seconds=poll_seconds)
        self._runtime = runtime
        self._memory_limit = memory_limit
        self.workers = FairPool(workers, 0, "infer")
        # the threads that a runtime starts for itself have the priority of the thread that loads
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load", initializer=give_way)
        # one load at a time, because loading needs much memory and `_make_room` makes room for one model
        self._load_lock = asyncio.Lock()
        self._loaded: OrderedDict[VersionKey, EmbeddedModel] = OrderedDict()  # least recently used first
        # the loaded models, and the unloaded models that requests in flight still hold
        self._alive: weakref.WeakSet[EmbeddedModel] = weakref.WeakSet()
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
        await asyncio.to_thread(self._loader.shutdown)
        self._loaded.clear()

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
        if spec.selects_newest and current is not None and (entry.name, current) in self._loaded:
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
        started = time.monotonic()
        try:
            version_dir = self._version_dir(key)
            async with self._load_lock:
                await self._make_room(await asyncio.to_thread(self._runtime.estimate_memory, version_dir))
                card, session = await self._run_loading(self._read, version_dir)
                model = EmbeddedModel(version, version_dir, card, session, self, session.memory)
                await self._make_room(model.size)  # the session knows better
                self._loaded[key] = model
                self._alive.add(model)
        except Exception as error:  # a damaged version may raise anything
            # a runtime's message may contain paths, so it goes to the log only
            reason = str(error) if isinstance(error, artifact.ArtifactError) else "the engine cannot read its graph"
            self._failed[key] = _Failure(reason)
            log.error("cannot load version %d of %s: %s", version, name, error, exc_info=True)
            raise ModelUnavailableError(f"version {version} of {name} cannot be loaded: {reason}") from error
        finally:
            self._loading.pop(key, None)
        self._failed.pop(key, None)
        log.info("loaded version %d of %s in %.2f s", version, name, time.monotonic() - started)
        return model

    async def _run_loading(self, load: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._loader, load, *arguments)

    def _read(self, version_dir: Path) -> tuple[ArtifactCard, Session]:
        card = artifact.read_card(version_dir)
        return card, load_version(self._runtime, version_dir, card)

    async def _load_explainer(self, model: EmbeddedModel) -> Explain:
        started = time.monotonic()
        try:
            async with self._load_lock:
                await self._make_room(model.session.explainer_memory, keep=model)
                explain = await self._run_loading(load_explainer, model.session, model.folder, model.card)
        except Exception as error:  # a damaged version may raise anything
            model.explainer = None  # the next request tries again
            log.error("cannot explain with version %d of %s: %s", model.version, model.card.name, error)
            reason = f": {error}" if isinstance(error, artifact.ArtifactError) else ""
            raise ModelUnavailableError(
                f"version {model.version} of {model.card.name} cannot explain now{reason}"
            ) from error
        model.size += model.session.explainer_memory
        seconds = time.monotonic() - started
        log.info("loaded the explain signature of version %d of %s in %.2f s", model.version, model.card.name, seconds)
        return explain

    async def _make_room(self, size: int, keep: EmbeddedModel | None = None) -> None:
        """Unload models until `size` more bytes fit: idle models before used ones, the least recently used first.

        Requests in flight keep their models, so this waits until they let go of those that are unloaded.

        Args:
            size: Bytes to make room for.
            keep: A model that stays loaded.
        """
        limit = self._memory_limit
        if limit is None:
            return
        # a request that waits for an explainer needs its model, and would be waited for in vain
        others = [key for key, model in self._loaded.items() if model is not keep and not model.awaits_explainer()]
        others.sort(key=lambda key: self._loaded[key].calls > 0)  # stable
        for name, version in others:
            if sum(model.size for model in self._loaded.values()) + size <= limit:
                break
            del self._loaded[name, version]
            log.info("unloaded version %d of %s to make room", version, name)
        give_up = time.monotonic() + RELEASE_SECONDS
        while any(model is not keep and not self._is_loaded(model) for model in self._alive):
            if sum(model.size for model in self._alive) + size <= limit:
                return
            if time.monotonic() > give_up:
                log.warning("requests use unloaded models for more than %g s; loading goes on", RELEASE_SECONDS)
                return
            await asyncio.sleep(0.01)  # nothing announces that the last request has let go

    def _is_loaded(self, model: EmbeddedModel) -> bool:
        return any(loaded is model for loaded in self._loaded.values())

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
            if not self._is_served(key) and not self._awaits_successor(key):
                self._loaded.pop(key, None)
                self._failed.pop(key, None)
        for name in [name for name in self._current if name not in self._watch.entries]:
            del self._current[name]

    def _is_served(self, key: VersionKey) -> bool:
        name, version = key
        entry, model = self._watch.entries.get(name), self._loaded.get(key)
        if entry is None or version not in entry.versions:
            return False
        return model is None or model.folder == entry.folders[version]  # models.config may name another folder now

    def _awaits_successor(self, key: VersionKey) -> bool:
        """Return whether a current version has to answer until a version that is served has been loaded.

        As in TensorFlow Serving, a policy that selects another version does not make the model unavailable.
        """
        name, version = key
        entry = self._watch.entries.get(name)
        if entry is None or version in entry.versions or self._current.get(name) != version:
            return False
        return not any((name, other) in self._loaded for other in entry.versions)

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
        if model := self._loaded.get(key):
            return VersionStatus(version, State.READY, labels, arithmetic=model.session.arithmetic)
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
