"""All inference servers: resolved by name and called round-robin."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence

from serving.core.engine import BackendStatus, VersionUnloadedError
from serving.core.errors import BackendUnavailableError
from serving.engines.tf_serving.backend import Answer, Backend, NotLoadedError
from serving.engines.tf_serving.breaker import RetryBudget
from serving.engines.tf_serving.names import Lookup, Target
from serving.engines.tf_serving.protos import PredictRequest, PredictResponse

GRACE_SECONDS = 30.0  # for requests in flight on a server whose address has left the name service
MAX_ATTEMPTS = 6
FIRST_BACKOFF = 0.05


class BackendPool:
    """The servers behind the configured names.

    gRPC's own round-robin policy does not serve here: it resolves a name again only when a connection breaks, so it
    would miss the servers that scaling out adds; and it hides which server answers, while each server has its own model
    states and circuit breaker.
    """

    def __init__(self, targets: Sequence[Target], connect: Callable[[str, str], Backend]) -> None:
        """Start without servers; `refresh` finds them.

        Args:
            targets: Names and ports.
            connect: Creates a backend from an address and its host name.
        """
        self._lookups = [Lookup(target) for target in targets]
        self._connect = connect
        self._backends: dict[str, Backend] = {}
        self._closing: set[asyncio.Task[None]] = set()  # the event loop holds only weak references to tasks
        self._requests = 0
        self._budget = RetryBudget()

    def __iter__(self) -> Iterator[Backend]:
        """Iterate over the servers in arbitrary order."""
        return iter(list(self._backends.values()))

    def statuses(self) -> list[BackendStatus]:
        """Return the state of each server for metrics; a name without a known address counts as a dead server."""
        nowhere = [f"dns:{lookup.target}" for lookup in self._lookups if not lookup.addresses]
        dead = [BackendStatus(name, is_up=False, circuit_open=False, calls=0, failures=0) for name in nowhere]
        return [backend.status() for backend in self] + dead

    async def refresh(self) -> None:
        """Resolve the names whose last look-up is old, each by itself, and follow their addresses."""
        await asyncio.gather(*(lookup.refresh() for lookup in self._lookups))
        resolved = {address: lookup.target.host for lookup in self._lookups for address in lookup.addresses}
        for address in resolved.keys() - self._backends.keys():
            self._backends[address] = self._connect(address, resolved[address])
        for address in self._backends.keys() - resolved.keys():
            closing = asyncio.create_task(self._backends.pop(address).close(GRACE_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all connections."""
        for lookup in self._lookups:
            lookup.close()
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*(backend.close() for backend in self), *self._closing, return_exceptions=True)

    async def predict(
        self, request: PredictRequest, parse: Callable[[PredictResponse], Answer], *, deadline: float
    ) -> Answer:
        """Run a signature on the next server that has loaded the version.

        Requests already sent are never retried: an image that crashes one server must not crash them all. A request
        that could not be sent, because the connections are being established, is retried with backoff.

        Args:
            request: Request for one version of a model.
            parse: Converts the response; raises UnexpectedAnswerError if the response does not match the model card.
            deadline: Event-loop time, in seconds, after which the answer is useless.

        Raises:
            VersionUnloadedError: No server has loaded the version.
            ServingError: The call failed.
        """
        name, version = request.model_spec.name, request.model_spec.version.value
        loop = asyncio.get_running_loop()
        backoff = FIRST_BACKOFF
        for attempt in range(MAX_ATTEMPTS):
            connecting = False
            for backend in self._round_robin():
                if version not in backend.ready_versions(name) or backend.breaker.is_open:
                    continue
                if not backend.is_connected:
                    connecting = True
                    continue
                try:
                    answer = await backend.predict(request, parse, deadline=deadline)
                except NotLoadedError:
                    continue
                self._budget.earn()
                return answer
            is_last = attempt + 1 == MAX_ATTEMPTS or loop.time() + backoff > deadline
            if not connecting or is_last or not self._budget.spend():
                break
            await asyncio.sleep(random.uniform(backoff / 2, backoff))  # noqa: S311  jitter is not a secret
            backoff *= 2
        if any(version in backend.ready_versions(name) for backend in self):
            raise BackendUnavailableError(
                f"no inference server with version {version} of {name} can be reached; try again"
            )
        raise VersionUnloadedError(f"version {version} of {name} is not loaded any more; try again")

    def _round_robin(self) -> list[Backend]:
        """Return all servers, beginning with the next for each call."""
        backends = list(self)
        self._requests += 1
        first = self._requests % len(backends) if backends else 0
        return backends[first:] + backends[:first]
