"""The engine: which version answers, from what the repository says and what the servers have loaded.

Cards come from the repository, which the gateway shares with the servers. Requests for the newest version and for a
label are resolved here and sent as requests for one version: the image was made for that version's input, and every
server must give the same answer, whenever it reads `models.config`. So the servers' word for a label that they do not
know (INVALID_ARGUMENT) and their status by label (which ignores the label) do not matter.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import numpy as np
from numpy.typing import NDArray

from keras_archs.repository import artifact
from keras_archs.repository.artifact import ArtifactCard, ArtifactError
from keras_archs.repository.models_config import VersionPolicy
from serving.core.engine import BackendStatus, Explanation, Prediction, State, VersionGoneError, VersionStatus
from serving.core.errors import BackendUnavailableError, ModelUnavailableError
from serving.core.repository import ModelEntry, ModelSpec
from serving.core.repository_watch import RepositoryWatch
from serving.engines.tf_serving import messages
from serving.engines.tf_serving.backend import Answer, Backend
from serving.engines.tf_serving.pool import BackendPool
from serving.engines.tf_serving.protos import PredictRequest, PredictResponse

log = logging.getLogger(__name__)

_Key = tuple[str, int]


@dataclass(frozen=True)
class RemoteModel:
    """A version that at least one server has loaded."""

    version: int
    card: ArtifactCard
    name: str
    engine: TfServingEngine

    async def predict(self, images: NDArray[np.uint8], deadline: float) -> Prediction:
        """Class probabilities of uint8 images [N, H, W, C]."""
        request = messages.predict_request(self.name, self.version, images)
        read = functools.partial(messages.probabilities, images=len(images), classes=len(self.card.labels))
        answer, seconds = await self._ask(request, read, deadline)
        return Prediction(answer, queue=0.0, inference=seconds)

    async def explain(self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float) -> Explanation:
        """Class activation maps of uint8 images [N, H, W, C]."""
        request = messages.explain_request(self.name, self.version, images, classes)
        read = functools.partial(messages.activation_maps, images=len(images), classes=len(self.card.labels))
        answer, seconds = await self._ask(request, read, deadline)
        return Explanation(answer, queue=0.0, inference=seconds)

    async def _ask(
        self, request: PredictRequest, read: Callable[[PredictResponse], Answer], deadline: float
    ) -> tuple[Answer, float]:
        started = time.perf_counter()  # the loop's time may be in whole milliseconds
        try:
            answer = await self.engine.pool.predict(request, read, deadline=deadline)
        except VersionGoneError:
            await self.engine.look_now()
            raise
        return answer, time.perf_counter() - started


class TfServingEngine:
    """Has TensorFlow Serving answer."""

    def __init__(self, repository: Path, pool: BackendPool, *, poll_seconds: float = 1.0) -> None:
        """Prepares an engine; `start` makes it serve.

        Args:
            repository: Folder of the model repository, which the servers serve too.
            pool: The servers.
            poll_seconds: How often repository and servers are looked at.
        """
        self._repository = repository
        # without models.config, servers are told a model's name on their command line, and serve its newest version
        self._watch = RepositoryWatch(repository, poll_seconds=poll_seconds, unconfigured=VersionPolicy())
        self.pool = pool
        self._cards: dict[_Key, ArtifactCard] = {}  # of the versions that are ready
        self._unfit: dict[_Key, str] = {}  # why a version is not, although a server has loaded it
        self._current: dict[str, int] = {}  # the version that answers when none is asked for
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads the repository, asks the servers, and begins to watch both."""
        await self._watch.start(self._look)

    async def close(self) -> None:
        """Stops watching and closes the connections."""
        await self._watch.close()
        await self.pool.close()

    def problem(self) -> str | None:
        """Why nothing can be served at present; None if something can."""
        if self._watch.problem or not self._watch.entries:
            return self._watch.problem
        if not any(backend.answers for backend in self.pool):
            return "no inference server answers"
        return None if self._cards else "no inference server has loaded a model yet"

    def names(self) -> Collection[str]:
        """The repository's models that TensorFlow Serving is to serve."""
        return self._watch.entries.keys()

    def models(self) -> Mapping[str, tuple[VersionStatus, ...]]:
        """The same with the status of each version."""
        return {
            name: tuple(self._status(entry, version) for version in entry.versions)
            for name, entry in self._watch.entries.items()
        }

    def backends(self) -> Sequence[BackendStatus]:
        """The servers."""
        return [backend.status() for backend in self.pool]

    def check(self, spec: ModelSpec) -> None:
        """Raises what `acquire` would raise if nothing is there that `spec` means."""
        self._watch.entry(spec.name).candidates(spec)

    async def card(self, spec: ModelSpec) -> tuple[int, ArtifactCard]:
        """The version that answers `spec` and its card, whether it is loaded or not."""
        version = self._answering(self._watch.entry(spec.name), spec)
        try:
            return version, await self._card((spec.name, version))
        except ArtifactError as error:
            raise ModelUnavailableError(str(error)) from error

    async def acquire(self, spec: ModelSpec) -> RemoteModel:
        """The version that answers `spec`, which a server has loaded."""
        entry = self._watch.entry(spec.name)
        version = self._answering(entry, spec)
        status = self._status(entry, version)
        if status.state != State.READY:
            if not any(backend.answers for backend in self.pool):
                raise BackendUnavailableError("no inference server answers; try again")
            why = f"cannot be loaded: {status.error}" if status.error else "is not loaded yet; try again"
            raise ModelUnavailableError(f"version {version} of {spec.name} {why}")
        if spec.is_newest:
            self._current[spec.name] = version
        return RemoteModel(version, self._cards[spec.name, version], spec.name, self)

    def _answering(self, entry: ModelEntry, spec: ModelSpec) -> int:
        """What answers `spec` now: of the versions that are loaded, the newest that every server has, if there is one.

        So a version takes over when all servers are done loading it, and none is then asked for all the rest. It stays
        the answer while a server has it: one that comes back with older versions first does not turn time back. And
        while nothing that the policy selects is loaded, what servers have kept until then goes on answering.
        """
        candidates = entry.candidates(spec)
        if spec.is_newest:
            kept = {version for name, version in self._cards if name == entry.name} - set(candidates)
            candidates = (*candidates, *sorted(kept, reverse=True))
        ready = [version for version in candidates if (entry.name, version) in self._cards]
        loaded = [found for backend in self.pool if (found := backend.ready_versions(entry.name))]
        everywhere = [version for version in ready if all(version in found for found in loaded)]
        newest = next(iter(everywhere or ready or candidates))
        current = self._current.get(entry.name, 0)
        stays = spec.is_newest and current in entry.versions and current in ready
        return max(newest, current) if stays else newest

    def _status(self, entry: ModelEntry, version: int) -> VersionStatus:
        labels = entry.labels_of(version)
        if (entry.name, version) in self._cards:
            return VersionStatus(version, State.READY, labels)
        if why := self._unfit.get((entry.name, version)):
            return VersionStatus(version, State.FAILED, labels, why)
        states = [one.states[entry.name].get(version) for one in self.pool if entry.name in one.states]
        if states and all(state == State.FAILED for state in states):
            return VersionStatus(version, State.FAILED, labels, "the inference server cannot load it; its log says why")
        return VersionStatus(version, State.LOADING, labels)

    async def look_now(self) -> None:
        """Looks at the servers out of turn; whoever else wants to meanwhile looks along."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look at servers")
        await asyncio.shield(self._looking)

    async def _look(self) -> None:
        """Asks the servers for the states of all models, and makes sure of the versions that have become ready."""
        await self.pool.refresh()
        await asyncio.gather(*(backend.look(self.names()) for backend in self.pool))
        ready = {
            (name, version): backend
            for backend in self.pool
            for name in self.names()
            for version in backend.ready_versions(name)
        }
        await asyncio.gather(*(self._admit(key, ready[key]) for key in ready.keys() - self._cards.keys()))
        for known in (self._cards, self._unfit):
            for key in known.keys() - ready.keys():
                del known[key]

    async def _admit(self, key: _Key, backend: Backend) -> None:
        name, version = key
        try:
            card = await self._card(key)
            await backend.check(name, version, card)
        except (ArtifactError, messages.UnexpectedAnswerError) as error:
            if key not in self._unfit:
                log.error("cannot serve version %d of %s: %s", version, name, error)
            self._unfit[key] = str(error)
        except grpc.aio.AioRpcError as error:
            log.warning("%s does not describe version %d of %s: %s", backend.address, version, name, error.details())
        else:
            self._unfit.pop(key, None)
            self._cards[key] = card

    async def _card(self, key: _Key) -> ArtifactCard:
        name, version = key
        if key in self._cards:
            return self._cards[key]
        return await asyncio.to_thread(artifact.read_card, self._repository / name / str(version))
