"""Proof that a server answers with the published version: its signature, and its reference answers.

A server may have read the files before they were replaced, run another TensorFlow, or compute wrongly. So each version
is proved on each server, apart from the requests of clients, before the server gets such requests.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import grpc
import grpc.aio

from keras_archs.repository import reference_answers
from keras_archs.repository.artifact import ArtifactError
from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.repository.reference_answers import ReferenceAnswers
from serving.engines.repository_engine import VersionKey
from serving.engines.tf_serving.backend import Backend
from serving.engines.tf_serving.messages import UnexpectedAnswerError

log = logging.getLogger(__name__)

RETRY_SECONDS = 60.0  # until a version that a server answers wrongly is tried again there
WAIT_SECONDS = 2.0  # that a poll waits for proofs; slower proofs go on
NO_VERDICT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.CANCELLED,
    }
)

Place = tuple[Backend, VersionKey]


@dataclass(frozen=True)
class Published:
    """What the repository says about a version; `answers` is None if it was exported without reference answers."""

    card: ArtifactCard
    answers: ReferenceAnswers | None


@dataclass(frozen=True)
class _Refusal:
    reason: str
    retry_at: float


class Verification:
    """Proves the loaded versions server by server.

    Attributes:
        cards: Cards of the versions that at least one server has loaded and answers as published.
    """

    def __init__(self, read: Callable[[VersionKey], Awaitable[Published]]) -> None:
        """Start without versions.

        Args:
            read: Reads a version from the repository; raises ArtifactError if it cannot be read.
        """
        self.cards: dict[VersionKey, ArtifactCard] = {}
        self._read = read
        self._running: dict[Place, tuple[asyncio.Task[None], float]] = {}  # with the time when it was started
        self._refusals: dict[Place, _Refusal] = {}

    async def follow(self, backends: Iterable[Backend]) -> None:
        """Prove newly loaded versions, for at most `WAIT_SECONDS`, and forget the versions that were unloaded."""
        backends = list(backends)
        now = time.monotonic()
        places = {(backend, key) for backend in backends for key in backend.loaded}
        for gone in self._refusals.keys() - places:
            del self._refusals[gone]
        for place in places - self._running.keys():
            backend, key = place
            refusal = self._refusals.get(place)
            if key not in backend.admitted and (refusal is None or now >= refusal.retry_at):
                task = asyncio.create_task(self._prove(backend, key), name=f"prove {key}")
                self._running[place] = task, now
                task.add_done_callback(functools.partial(self._forget, place))
        if recent := [task for task, started in self._running.values() if now - started < WAIT_SECONDS]:
            await asyncio.wait(recent, timeout=WAIT_SECONDS)
        # not before: until the version that replaces an unloaded version is proved, requests wait for the next poll
        for key in self.cards.keys() - {key for backend in backends for key in backend.admitted}:
            del self.cards[key]

    def _forget(self, place: Place, _: asyncio.Task[None]) -> None:
        del self._running[place]

    def refusal(self, key: VersionKey) -> str | None:
        """Return why a server that has loaded a version gets no requests for it; None if there is no such server."""
        return next((refusal.reason for (_, refused), refusal in self._refusals.items() if refused == key), None)

    def close(self) -> None:
        """Stop all proofs."""
        for task, _ in self._running.values():
            task.cancel()

    async def _prove(self, backend: Backend, key: VersionKey) -> None:
        name, version = key
        try:
            published = await self._read(key)
            await backend.check_signature(name, version, published.card)
            if published.answers is not None:
                received = await backend.answer(name, version, published.card, published.answers.images)
                reference_answers.check(published.answers, received)
        except (ArtifactError, UnexpectedAnswerError) as error:
            self._refuse(backend, key, str(error), log_reason=str(error))
        except grpc.aio.AioRpcError as error:
            details = f"{error.code().name}: {error.details()}"
            if error.code() in NO_VERDICT:
                log.warning("%s does not answer for version %d of %s: %s", backend.address, version, name, details)
            else:
                reason = "the inference server cannot answer with it; the gateway's log has the details"
                self._refuse(backend, key, reason, log_reason=details)
        else:
            self._refusals.pop((backend, key), None)
            if key in backend.loaded:
                backend.admitted.add(key)
                self.cards[key] = published.card

    def _refuse(self, backend: Backend, key: VersionKey, reason: str, *, log_reason: str) -> None:
        name, version = key
        before = self._refusals.get((backend, key))
        if before is None or before.reason != reason:
            log.error("cannot serve version %d of %s from %s: %s", version, name, backend.address, log_reason)
        self._refusals[backend, key] = _Refusal(reason, time.monotonic() + RETRY_SECONDS)
