"""The engine: selects the version that answers, from the repository and from what the servers have loaded.

Cards come from the repository, which the gateway shares with the servers. The newest version and labels are resolved
here, and every request to a server names one version: the image was preprocessed for that version's input, and all
servers must give the same answer although they read `models.config` at different times. So two quirks of TensorFlow
Serving have no effect: INVALID_ARGUMENT for an unknown label, and a status by label that ignores the label.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository import reference_answers
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.models_config import VersionPolicy
from keras_archs.runtimes.runtime import Arithmetic
from serving.core.access import Caller
from serving.core.engine import BackendStatus, MapPrediction, Prediction, State, VersionStatus, VersionUnloadedError
from serving.core.errors import BackendUnavailableError, ModelUnavailableError
from serving.core.repository import ModelEntry, ModelSpec
from serving.engines.repository_engine import RepositoryEngine, VersionKey
from serving.engines.tf_serving import messages
from serving.engines.tf_serving.backend import Answer
from serving.engines.tf_serving.pool import BackendPool
from serving.engines.tf_serving.protos import PredictRequest, PredictResponse
from serving.engines.tf_serving.verification import Published, Verification


@dataclass(frozen=True)
class RemoteModel:
    """A version that at least one server has loaded."""

    version: int
    card: ArtifactCard
    name: str
    engine: TfServingEngine
    arithmetic: Arithmetic = "f32"

    def per_image(self) -> AbstractContextManager[None]:
        """Lend nothing: servers compute."""
        return nullcontext()

    async def predict(self, images: NDArray[np.uint8], deadline: float, caller: Caller) -> Prediction:
        """Compute class probabilities of uint8 images [N, H, W, C]."""
        request = messages.predict_request(self.name, self.version, images)
        parse = functools.partial(messages.probabilities, images=len(images), classes=len(self.card.labels))
        probabilities, seconds = await self._call(request, parse, deadline)
        return Prediction(probabilities, queue=0.0, inference=seconds)

    async def explain(
        self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float, caller: Caller
    ) -> MapPrediction:
        """Compute class activation maps of uint8 images [N, H, W, C]."""
        request = messages.explain_request(self.name, self.version, images, classes)
        parse = functools.partial(messages.activation_maps, images=len(images), classes=len(self.card.labels))
        activation_maps, seconds = await self._call(request, parse, deadline)
        return MapPrediction(activation_maps, queue=0.0, inference=seconds, arithmetic="f32")

    async def _call(
        self, request: PredictRequest, parse: Callable[[PredictResponse], Answer], deadline: float
    ) -> tuple[Answer, float]:
        started = time.perf_counter()  # the event loop's clock may tick in whole milliseconds
        try:
            answer = await self.engine.pool.predict(request, parse, deadline=deadline)
        except VersionUnloadedError:
            await self.engine.poll_servers_now()
            raise
        return answer, time.perf_counter() - started


class TfServingEngine(RepositoryEngine):
    """Runs the models of a repository on TensorFlow Serving."""

    def __init__(self, repository: Path, pool: BackendPool, *, poll_seconds: float = 1.0) -> None:
        """Prepare an engine, which `start` starts.

        Args:
            repository: Folder of the model repository, which the servers serve too.
            pool: The servers.
            poll_seconds: Interval between two polls of the repository and the servers.
        """
        # without models.config, servers get one model's name on the command line and serve its newest version
        super().__init__(repository, poll_seconds=poll_seconds, default_policy=VersionPolicy())
        self.pool = pool
        self._verification = Verification(self._published)
        self._cards = self._verification.cards  # of the versions that answer
        self._current: dict[str, int] = {}  # the version that answers if a request selects the newest
        self._polling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the repository, poll the servers, and start to watch both."""
        await self._watch.start(self._poll_servers)

    async def close(self) -> None:
        """Stop watching and close the connections."""
        await self._watch.close()
        self._verification.close()
        await self.pool.close()

    def not_ready_reason(self) -> str | None:
        """Return why no model can be served at present; None if a model can."""
        if reason := super().not_ready_reason():
            return reason
        if not self._is_any_server_up():
            return "no inference server answers"
        return None if self._cards else "no inference server has loaded a model yet"

    def backends(self) -> Sequence[BackendStatus]:
        """Return the state of each server, and of each name without a known server."""
        return self.pool.statuses()

    async def acquire(self, spec: ModelSpec) -> RemoteModel:
        """Return the version that answers `spec`, which at least one server has loaded."""
        version, status = self._selected(spec)
        # A server may have unloaded a version and loaded its successor since the last poll. Of two polls, the second
        # began after the request, even if the first was shared.
        for _ in range(2):
            if status.state != State.LOADING or not self._is_any_server_up():
                break
            await self.poll_servers_now()
            version, status = self._selected(spec)
        if status.state != State.READY:
            if not self._is_any_server_up():
                raise BackendUnavailableError("no inference server answers; try again")
            reason = f"cannot be loaded: {status.error}" if status.error else "is not loaded yet; try again"
            raise ModelUnavailableError(f"version {version} of {spec.name} {reason}")
        if spec.selects_newest:
            self._current[spec.name] = version
        return RemoteModel(version, self._cards[spec.name, version], spec.name, self)

    def _is_any_server_up(self) -> bool:
        return any(backend.is_up for backend in self.pool)

    def _selected(self, spec: ModelSpec) -> tuple[int, VersionStatus]:
        """Return the version that answers `spec` now, and its status."""
        entry = self._watch.entry(spec.name)
        version = self._select(entry, spec)
        return version, self._status(entry, version)

    def _select(self, entry: ModelEntry, spec: ModelSpec) -> int:
        """Return the newest candidate that every server has loaded, else the newest that any server has loaded.

        A new version thus takes over when all servers have loaded it, so that no server receives the requests of all.
        Once current, a version stays current while any server has it: a restarted server that loads older versions
        first must not cause a rollback. While no version that the policy selects is loaded, a version that the servers
        have not unloaded yet continues to answer.
        """
        candidates = entry.candidates(spec)
        if spec.selects_newest:
            not_unloaded = {version for name, version in self._cards if name == entry.name} - set(candidates)
            candidates = (*candidates, *sorted(not_unloaded, reverse=True))
        ready = [version for version in candidates if (entry.name, version) in self._cards]
        by_server = [versions for backend in self.pool if (versions := backend.ready_versions(entry.name))]
        everywhere = [version for version in ready if all(version in versions for versions in by_server)]
        newest = next(iter(everywhere or ready or candidates))
        current = self._current.get(entry.name, 0)
        current_stays = spec.selects_newest and current in entry.versions and current in ready
        return max(newest, current) if current_stays else newest

    def _status(self, entry: ModelEntry, version: int) -> VersionStatus:
        labels = entry.labels_of(version)
        if (entry.name, version) in self._cards:
            return VersionStatus(version, State.READY, labels, arithmetic="f32")
        if refusal := self._verification.refusal((entry.name, version)):
            return VersionStatus(version, State.FAILED, labels, refusal)
        states = [backend.states[entry.name].get(version) for backend in self.pool if entry.name in backend.states]
        if states and all(state == State.FAILED for state in states):
            return VersionStatus(
                version, State.FAILED, labels, "the inference server cannot load it; its log has the reason"
            )
        return VersionStatus(version, State.LOADING, labels)

    def _loaded_card(self, key: VersionKey) -> ArtifactCard | None:
        return self._cards.get(key)

    async def poll_servers_now(self) -> None:
        """Poll the servers between two regular polls; simultaneous callers share one poll."""
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll_servers(), name="poll servers")
        await asyncio.shield(self._polling)

    async def _poll_servers(self) -> None:
        """Ask the servers for the states of all models, and prove the versions that they have loaded."""
        await self.pool.refresh()
        await asyncio.gather(*(backend.poll(self.model_names()) for backend in self.pool))
        await self._verification.follow(self.pool)

    async def _published(self, key: VersionKey) -> Published:
        card = await self._card(key)
        return Published(card, await asyncio.to_thread(reference_answers.read, self._version_dir(key), card))
