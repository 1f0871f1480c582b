"""The names of inference servers, and the addresses behind them."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from dataclasses import dataclass

log = logging.getLogger(__name__)

RESOLVE_SECONDS = 5.0  # between two look-ups of a name
RESOLVE_TIMEOUT = 2.0  # that a poll waits for a look-up

_TARGET = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+)):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True)
class Target:
    """A host name and a port; each IP address behind the name is one server."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Target:
        """Parse "host:port" or "[::1]:port"; ValueError for anything else."""
        match = _TARGET.fullmatch(text)
        if match is None or not 1 <= int(match["port"]) <= 65535:
            raise ValueError(f"a backend is host:port, or [address]:port for IPv6; got {text!r}")
        return cls(match["address"] or match["name"], int(match["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def addresses(self) -> frozenset[str]:
        """Resolve the name; return addresses in gRPC's notation. OSError if the name cannot be resolved."""
        resolved = await asyncio.get_running_loop().getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return frozenset(
            f"ipv6:[{address[0]}]:{self.port}" if family == socket.AF_INET6 else f"ipv4:{address[0]}:{self.port}"
            for family, _, _, _, address in resolved
        )


class Lookup:
    """Looks one name up at an interval, independently of all other names.

    Attributes:
        target: Name and port.
        addresses: Addresses of the last successful look-up; empty before it.
    """

    def __init__(self, target: Target) -> None:
        """Start without addresses; `refresh` finds them."""
        self.target = target
        self.addresses: frozenset[str] = frozenset()
        self._running: asyncio.Task[None] | None = None
        self._next_at = 0.0
        self._failed = False

    async def refresh(self) -> None:
        """Look the name up if the last look-up is old, and wait for at most `RESOLVE_TIMEOUT`.

        After a failed look-up the known addresses stay. A slower look-up goes on, and no second one is started.
        """
        now = asyncio.get_running_loop().time()
        if now < self._next_at or (self._running is not None and not self._running.done()):
            return
        self._next_at = now + RESOLVE_SECONDS
        self._running = asyncio.create_task(self._look_up(), name=f"resolve {self.target}")
        await asyncio.wait([self._running], timeout=RESOLVE_TIMEOUT)
        if not self._running.done():
            self._note_failure(f"the name service has not answered within {RESOLVE_TIMEOUT:g} s")

    async def _look_up(self) -> None:
        try:
            self.addresses = await self.target.addresses()
        except (OSError, UnicodeError) as error:  # UnicodeError: the text cannot be a host name
            self._note_failure(str(error))
            return
        if self._failed:
            log.info("the backend name %s is resolved again", self.target)
        self._failed = False

    def _note_failure(self, reason: str) -> None:
        """Log the first failure in a row."""
        if not self._failed:
            known = ", ".join(sorted(self.addresses)) or "none"
            log.warning("the backend name %s cannot be resolved: %s; known servers: %s", self.target, reason, known)
        self._failed = True

    def close(self) -> None:
        """Drop a running look-up."""
        if self._running is not None:
            self._running.cancel()
