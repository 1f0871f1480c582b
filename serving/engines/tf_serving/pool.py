"""All servers: found by name, asked in turn, and a request sent again only if nobody can have computed it."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from serving.core.engine import VersionGoneError
from serving.core.errors import BackendUnavailableError
from serving.engines.tf_serving.backend import Answer, Backend, NotLoadedError
from serving.engines.tf_serving.breaker import RetryBudget
from serving.engines.tf_serving.protos import PredictRequest, PredictResponse

log = logging.getLogger(__name__)

RESOLVE_SECONDS = 5.0
RESOLVE_TIMEOUT = 2.0
GRACE_SECONDS = 30.0  # for requests in flight on a server that its name no longer leads to
ATTEMPTS = 6
FIRST_PAUSE = 0.05

_TARGET = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Target:
    """A name and a port; every address of the name is a server."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """Reads "host:port" or "[::1]:port"; ValueError if it is neither."""
        found = _TARGET.fullmatch(text)
        if found is None or not 1 <= int(found["port"]) <= 65535:
            raise ValueError(f"a backend is host:port, or [address]:port for IPv6; got {text!r}")
        return cls(found["address"] or found["name"], int(found["port"]))

    async def addresses(self) -> set[str]:
        """Its addresses now, as gRPC writes them; OSError if the name cannot be resolved."""
        found = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return {
            f"ipv6:[{address[0]}]:{self.port}" if family == socket.AF_INET6 else f"ipv4:{address[0]}:{self.port}"
            for family, _, _, _, address in found
        }


class BackendPool:
    """The servers behind some names.

    gRPC's own round robin would resolve a name anew only when a connection breaks, and so would not find the servers
    that scaling out adds; and it hides which server answers, while each has states and a circuit breaker of its own.
    """

    def __init__(self, targets: Sequence[Target], connect: Callable[[str, str], Backend]) -> None:
        """Knows no server until `refresh`.

        Args:
            targets: Names and ports.
            connect: Makes a backend of an address and its host's name.
        """
        self._targets = targets
        self._connect = connect
        self._backends: dict[str, Backend] = {}
        self._closing: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly
        self._resolve_at = 0.0
        self._turn = 0
        self._budget = RetryBudget()

    def __iter__(self) -> Iterator[Backend]:
        """The servers, in no order that means anything."""
        return iter(list(self._backends.values()))

    async def refresh(self) -> None:
        """Resolves the names, now and then. One that cannot be resolved keeps the servers that it had."""
        now = asyncio.get_running_loop().time()
        if now < self._resolve_at:
            return
        try:
            async with asyncio.timeout(RESOLVE_TIMEOUT):
                found = {address: target.host for target in self._targets for address in await target.addresses()}
        except (OSError, TimeoutError) as error:
            log.warning("a backend's name cannot be resolved: %s", error)
            return
        self._resolve_at = now + RESOLVE_SECONDS
        for address in found.keys() - self._backends.keys():
            self._backends[address] = self._connect(address, found[address])
        for address in self._backends.keys() - found.keys():
            closing = asyncio.create_task(self._backends.pop(address).close(GRACE_SECONDS))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Closes every connection."""
        for closing in self._closing:
            closing.cancel()
        await asyncio.gather(*(backend.close() for backend in self), *self._closing, return_exceptions=True)

    async def predict(
        self, request: PredictRequest, read: Callable[[PredictResponse], Answer], *, deadline: float
    ) -> Answer:
        """What a signature gives, on the next server that has the version.

        A request that was sent is not sent again, although it would change nothing: were it one that ends servers, it
        would end them all. One that could not be sent, because a connection is being made, is tried again.

        Args:
            request: For one version of a model.
            read: Makes the answer of a response, or raises UnexpectedAnswerError.
            deadline: When the answer is worth nothing any more, in the event loop's time.

        Raises:
            VersionGoneError: No server has the version.
            ServingError: There is no answer.
        """
        name, version = request.model_spec.name, request.model_spec.version.value
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        for attempt in range(ATTEMPTS):
            connecting = False
            for backend in self._in_turn():
                if version not in backend.ready_versions(name) or backend.breaker.is_open:
                    continue
                if not backend.is_connected:
                    connecting = True
                    continue
                try:
                    answer = await backend.predict(request, read, deadline=deadline)
                except NotLoadedError:
                    continue
                self._budget.earn()
                return answer
            is_last = attempt + 1 == ATTEMPTS or loop.time() + pause > deadline
            if not connecting or is_last or not self._budget.spend():
                break
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311  (not for a secret)
            pause *= 2
        if any(version in backend.ready_versions(name) for backend in self):
            raise BackendUnavailableError(f"no inference server can be reached that has version {version} of {name}")
        raise VersionGoneError(f"version {version} of {name} is not loaded any more; try again")

    def _in_turn(self) -> list[Backend]:
        backends = list(self)
        self._turn += 1
        first = self._turn % len(backends) if backends else 0
        return backends[first:] + backends[:first]
