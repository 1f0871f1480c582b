"""The engine that runs models inside the gateway's process, from the repository's files.

A model is loaded on first use. When a newer version appears, it is loaded beside the one that answers, and takes over
once it is ready; if it cannot be loaded, the older one goes on answering and the newer one's status says why.
All state belongs to the event loop; only loading and inference run on threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Collection, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactCard
from keras_archs.repository.checksums import verify
from keras_archs.runtimes.runtime import ActivationMaps, Explain, Runtime, Session
from serving.core.engine import BackendStatus, Explanation, Prediction, State, VersionStatus
from serving.core.errors import ModelUnavailableError
from serving.core.repository import ModelEntry, ModelSpec
from serving.core.repository_watch import RepositoryWatch
from serving.core.workers import WorkerPool

log = logging.getLogger(__name__)

Result = TypeVar("Result")
RETRY_SECONDS = 60.0  # a version that failed to load is tried again after this; TensorFlow Serving's interval


@dataclass
class EmbeddedModel:
    """A loaded version; `explainer` is there once it has been asked to explain something."""

    version: int
    card: ArtifactCard
    session: Session
    engine: EmbeddedEngine
    size: int
    explainer: asyncio.Task[Explain] | None = None

    async def predict(self, images: NDArray[np.uint8], deadline: float) -> Prediction:
        """Class probabilities of uint8 images [N, H, W, C]; who asks ends it at its deadline by cancelling."""
        step = self.session.max_batch
        batches = [images[start : start + step] for start in range(0, len(images), step)]
        timed = await self.engine.workers.map(self.session.infer, batches)
        return Prediction(np.concatenate(timed.results), timed.queue, timed.busy)

    async def explain(self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float) -> Explanation:
        """Class activation maps of uint8 images [N, H, W, C]; cancelled as `predict` is."""
        explain = await self.engine.explainer(self)
        step = self.session.max_batch
        parts = [slice(start, start + step) for start in range(0, len(images), step)]
        timed = await self.engine.workers.map(lambda part: explain(images[part], classes[part]), parts)
        found = ActivationMaps(*map(np.concatenate, zip(*timed.results, strict=True)))
        return Explanation(found, timed.queue, timed.busy)


@dataclass(frozen=True)
class _Failure:
    reason: str
    retry_at: float = field(default_factory=lambda: time.monotonic() + RETRY_SECONDS)


_Key = tuple[str, int]


class EmbeddedEngine:
    """Serves a repository from this process."""

    def __init__(
        self,
        repository: Path,
        runtime: Runtime,
        *,
        workers: int,
        poll_seconds: float = 1.0,
        memory_limit: int | None = None,
    ) -> None:
        """Prepares an engine; `start` makes it serve.

        Args:
            repository: Folder of the model repository.
            runtime: What compiles and runs the models.
            workers: Threads that infer.
            poll_seconds: How often the repository is looked at.
            memory_limit: Bytes that the loaded models may take together, estimated from their files; the least
                recently used are unloaded to make room. None for no bound.
        """
        self._repository = repository
        self._watch = RepositoryWatch(repository, poll_seconds=poll_seconds)
        self._runtime = runtime
        self._memory_limit = memory_limit
        self.workers = WorkerPool(workers, "infer")
        self._one_load = asyncio.Lock()  # loading takes much memory, and making room is for one
        self._loaded: OrderedDict[_Key, EmbeddedModel] = OrderedDict()  # least recently used first
        self._loading: dict[_Key, asyncio.Task[EmbeddedModel]] = {}
        self._failed: dict[_Key, _Failure] = {}
        self._current: dict[str, int] = {}  # the version that answers when none is asked for
        self._background: set[asyncio.Task[Any]] = set()  # the loop itself holds tasks only weakly

    async def start(self) -> None:
        """Reads the repository and begins to watch it."""
        await self._watch.start(self._follow)

    async def close(self) -> None:
        """Stops watching, ends the work in hand and unloads everything."""
        await self._watch.close()
        for task in [*self._background, *self._loading.values()]:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        await asyncio.to_thread(self.workers.close)
        self._loaded.clear()

    def problem(self) -> str | None:
        """Why the repository cannot be served at present; None if it can."""
        return self._watch.problem

    def names(self) -> Collection[str]:
        """The repository's models."""
        return self._watch.entries.keys()

    def models(self) -> Mapping[str, tuple[VersionStatus, ...]]:
        """The same with the status of each version."""
        return {
            name: tuple(self._status(entry, version) for version in entry.versions)
            for name, entry in self._watch.entries.items()
        }

    def backends(self) -> Sequence[BackendStatus]:
        """None: it computes in this process."""
        return ()

    def check(self, spec: ModelSpec) -> None:
        """Raises what `acquire` would raise if nothing is there that `spec` means; loads nothing."""
        self._watch.entry(spec.name).candidates(spec)

    async def card(self, spec: ModelSpec) -> tuple[int, ArtifactCard]:
        """The version that answers `spec` and its card, without loading the model."""
        version = self._answering(self._watch.entry(spec.name), spec)
        if loaded := self._loaded.get((spec.name, version)):
            return version, loaded.card
        try:
            return version, await asyncio.to_thread(artifact.read_card, self._version_dir(spec.name, version))
        except artifact.ArtifactError as error:
            raise ModelUnavailableError(str(error)) from error

    async def acquire(self, spec: ModelSpec) -> EmbeddedModel:
        """The version that answers `spec`, loaded; however many ask at once, it is loaded once."""
        entry = self._watch.entry(spec.name)
        while True:
            version = self._answering(entry, spec)
            try:
                model = await self._get((entry.name, version))
            except ModelUnavailableError:
                if self._answering(entry, spec) == version:
                    raise  # there is no other version to fall back on
                continue
            if spec.is_newest:
                self._promote(entry.name, model.version)
            return model

    async def explainer(self, model: EmbeddedModel) -> Explain:
        """What explains with `model`, loaded on first use; however many ask at once, it is loaded once."""
        if model.explainer is None:
            loading = self._load_explainer(model)
            model.explainer = self._in_background(loading, name=f"explain {model.card.name}/{model.version}")
            model.explainer.add_done_callback(lambda done: done.cancelled() or done.exception())  # as in _load_task
        return await asyncio.shield(model.explainer)

    def _answering(self, entry: ModelEntry, spec: ModelSpec) -> int:
        """What answers `spec` now: the current version while it is loaded, else the best that has not failed."""
        current = self._current.get(entry.name)
        if spec.is_newest and (entry.name, current) in self._loaded and current in entry.versions:
            return current
        return self._best(entry, spec)

    def _best(self, entry: ModelEntry, spec: ModelSpec) -> int:
        candidates = entry.candidates(spec)
        return next((version for version in candidates if not self._has_failed((entry.name, version))), candidates[0])

    async def _get(self, key: _Key) -> EmbeddedModel:
        if model := self._loaded.get(key):
            self._loaded.move_to_end(key)
            return model
        if self._has_failed(key):
            raise ModelUnavailableError(f"version {key[1]} of {key[0]} cannot be loaded: {self._failed[key].reason}")
        return await asyncio.shield(self._load_task(key))  # whoever gives up waiting does not end it for the others

    def _load_task(self, key: _Key) -> asyncio.Task[EmbeddedModel]:
        if key not in self._loading:
            task = self._loading[key] = asyncio.create_task(self._load(key), name=f"load {key[0]}/{key[1]}")
            # a failure is recorded and logged where it happens; that nobody waits any more is no second failure
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._loading[key]

    async def _load(self, key: _Key) -> EmbeddedModel:
        name, version = key
        version_dir = self._version_dir(name, version)
        started = time.monotonic()
        try:
            async with self._one_load:
                size = await asyncio.to_thread(_size_on_disk, version_dir)
                self._make_room(size)
                card, session = await asyncio.to_thread(self._read, version_dir)
                model = self._loaded[key] = EmbeddedModel(version, card, session, self, size)
        except Exception as error:  # a broken version may raise anything, and must not stop the others
            # a runtime's own words may hold paths, so they go to the log only
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
            async with self._one_load:
                self._make_room(model.size)
                explain = await asyncio.to_thread(model.session.explainer)
        except Exception as error:  # as in _load
            model.explainer = None  # whoever asks next tries again
            log.error("cannot explain with version %d of %s: %s", model.version, model.card.name, error)
            raise ModelUnavailableError(f"version {model.version} of {model.card.name} cannot explain now") from error
        model.size *= 2  # it holds the weights once more
        seconds = time.monotonic() - started
        log.info("loaded what explains version %d of %s in %.2f s", model.version, model.card.name, seconds)
        return explain

    def _make_room(self, size: int) -> None:
        """Unloads the least recently used models until `size` more bytes fit. Requests in flight keep theirs."""
        if self._memory_limit is None:
            return
        while self._loaded and size + sum(model.size for model in self._loaded.values()) > self._memory_limit:
            (name, version), _ = self._loaded.popitem(last=False)
            log.info("unloaded version %d of %s to make room", version, name)

    async def _follow(self) -> None:
        """Does with the loaded models what the repository asks for by now."""
        self._forget_removed()
        for name, current in list(self._current.items()):
            entry = self._watch.entries[name]
            newest = self._best(entry, ModelSpec(name))
            if newest != current and (name, newest) not in self._loading:
                self._in_background(self._replace(name, newest), name=f"replace {name}/{current}")

    def _forget_removed(self) -> None:
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
        with contextlib.suppress(ModelUnavailableError):  # _load has recorded and logged it
            await self._get((name, version))
            self._promote(name, version)

    def _promote(self, name: str, version: int) -> None:
        """Makes a version the one that answers by default, unless a newer one has become that meanwhile."""
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

    def _has_failed(self, key: _Key) -> bool:
        failure = self._failed.get(key)
        return failure is not None and time.monotonic() < failure.retry_at

    def _version_dir(self, name: str, version: int) -> Path:
        return self._repository / name / str(version)


def _size_on_disk(version_dir: Path) -> int:
    return sum(path.stat().st_size for path in version_dir.rglob("*") if path.is_file())
