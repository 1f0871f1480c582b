"""Clients that hold connections open as cheaply as they can: silent, with headers or bodies that never end."""

from __future__ import annotations

import itertools
import socket
import time
from typing import Final

DRIP_SECONDS: Final = 1.0
TURNS: Final = 250
"""Moments in `DRIP_SECONDS`; at each, an equal part of the clients has its turn."""
STARTS: Final = (
    b"",
    b"POST /classify/none HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Drip: ",
    b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: 40000\r\n\r\n",
)
"""What each kind of client sends at once; then it sends a byte every `DRIP_SECONDS`."""


def slow_clients(port: int, *, path: str, address: str, clients: int, seconds: float) -> int:
    """Keep slow clients connected, and return how many connections the server has closed.

    Args:
        port: Port of the server on this machine.
        path: Path of the requests.
        address: Loopback address of the clients.
        clients: Number of clients; each connects again when its connection is closed.
        seconds: Time until they leave.
    """
    starts = (start.replace(b"%s", path.encode()) for start in itertools.cycle(STARTS))
    everyone = [_Client(port, address, next(starts)) for _ in range(clients)]
    begin = time.monotonic()
    for turn in range(round(seconds / DRIP_SECONDS * TURNS)):
        time.sleep(max(0.0, begin + turn * DRIP_SECONDS / TURNS - time.monotonic()))
        for client in everyone[turn % TURNS :: TURNS]:
            client.take_turn()
    for client in everyone:
        client.leave()
    return sum(client.closed for client in everyone)


class _Client:
    """A slow client, which connects at its first turn.

    Attributes:
        closed: Number of its connections that the server has closed.
    """

    def __init__(self, port: int, address: str, start: bytes) -> None:
        self.closed = 0
        self._port = port
        self._address = address
        self._start = start
        self._socket: socket.socket | None = None

    def take_turn(self) -> None:
        """Send a byte, or connect if the server has closed the connection."""
        if self._socket is not None and self._is_closed(self._socket):
            self.closed += 1
            self.leave()
        try:
            if self._socket is None:
                self._socket = socket.create_connection(
                    ("127.0.0.1", self._port), timeout=DRIP_SECONDS, source_address=(self._address, 0)
                )
                self._socket.setblocking(False)
                self._socket.send(self._start)
            elif self._start:
                self._socket.send(b"x")
        except OSError:  # it is closed, or the server takes no more connections: the next turn connects again
            pass

    def leave(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    @staticmethod
    def _is_closed(connection: socket.socket) -> bool:
        try:
            while connection.recv(65536):  # an answer may leave the connection open
                pass
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True
