"""Which connection gives way when too many are open: found without looking at each of them."""

from __future__ import annotations

from collections import Counter
from typing import Generic, Protocol, TypeVar


class Addressed(Protocol):
    """A connection from an address."""

    @property
    def address(self) -> str:
        """Address of the client."""


Connection = TypeVar("Connection", bound=Addressed)


class OpenConnections(Generic[Connection]):
    """The connections of a server: idle, with a body that arrives, or busy, when they cannot give way."""

    def __init__(self) -> None:
        self._numbers: Counter[str] = Counter()  # by address
        self._idle: _Queues[Connection] = _Queues()
        self._uploading: _Queues[Connection] = _Queues()

    def add(self, connection: Connection) -> None:
        """Add a connection, which is idle."""
        self._numbers[connection.address] += 1
        self._idle.append(connection)

    def idle(self, connection: Connection) -> None:
        """Let a connection be the last of the idle connections of its address."""
        self.busy(connection)
        self._idle.append(connection)

    def uploading(self, connection: Connection) -> None:
        """Let a connection be the last of its address' connections that give way if none is idle."""
        self.busy(connection)
        self._uploading.append(connection)

    def busy(self, connection: Connection) -> None:
        """Let a connection not give way."""
        self._idle.discard(connection)
        self._uploading.discard(connection)

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was added."""
        self.busy(connection)
        self._numbers[connection.address] -= 1
        if not self._numbers[connection.address]:
            del self._numbers[connection.address]

    def take(self) -> Connection | None:
        """Let a connection give way, and return it.

        Returns:
            Of the idle connections, the longest idle connection of the address that has the most connections; if none
            is idle, the same of those whose body arrives; None without these, too.
        """
        connection = self._idle.first(self._numbers) or self._uploading.first(self._numbers)
        if connection is not None:
            self.busy(connection)
        return connection


class _Queues(Generic[Connection]):
    """Connections by address, in the order in which they were added."""

    def __init__(self) -> None:
        self._by_address: dict[str, dict[Connection, None]] = {}

    def append(self, connection: Connection) -> None:
        self._by_address.setdefault(connection.address, {})[connection] = None

    def discard(self, connection: Connection) -> None:
        queue = self._by_address.get(connection.address)
        if queue is not None and connection in queue:
            del queue[connection]
            if not queue:
                del self._by_address[connection.address]

    def first(self, numbers: Counter[str]) -> Connection | None:
        """Return the first connection of the address with the highest number."""
        address = max(self._by_address, key=numbers.__getitem__, default=None)
        return None if address is None else next(iter(self._by_address[address]))
