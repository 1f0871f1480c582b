"""Open-loop load: requests at a given rate, whether or not earlier requests were answered, as independent users send.

A latency counts from the moment at which a request was due, so that a generator that falls behind hides nothing. The
generator shares the processor with the gateway that it measures: hence plain sockets, and no task for each request.
"""

from __future__ import annotations

import math
import re
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np

from keras_archs.loadtest.loops import offsets

WARM_UP_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 2.0
"""Age of connections that are not used again, because the server may close them at the same moment."""
NO_ANSWER: Final = 0
"""Status of a request whose connection ended, or that got no answer within `ANSWER_SECONDS` after the last request."""

_LENGTH: Final = re.compile(rb"(?i)content-length: (\d+)")
_CLOSES: Final = re.compile(rb"(?i)connection: close")


@dataclass(frozen=True)
class Outcome:
    """What became of one request.

    Attributes:
        status: HTTP status, or `NO_ANSWER`.
        seconds: Time from the moment at which the request was due to the end of the answer.
    """

    status: int
    seconds: float


def open_loop(port: int, request: bytes, *, rate: float, seconds: float, address: str = "127.0.0.1") -> list[Outcome]:
    """Send a request at random times, `rate` times a second on average, and return the outcomes after the warm-up.

    Args:
        port: Port of the gateway on this machine.
        request: Bytes of the HTTP request.
        rate: Mean requests per second; the intervals are exponentially distributed, with the same seed in each call.
        seconds: Length of the measurement, after `WARM_UP_SECONDS`.
        address: Loopback address from which the requests come; the gateway tells callers without keys apart by it.
    """
    with closing(_Sender(port, request, address)) as sender:
        start = time.perf_counter()
        for offset in offsets(rate, WARM_UP_SECONDS + seconds):
            sender.receive_until(start + offset)
            sender.send(start + offset)
        sender.receive_rest(time.perf_counter() + ANSWER_SECONDS)
    return [outcome for due, outcome in sender.outcomes if due >= start + WARM_UP_SECONDS]


def percentile_ms(outcomes: Sequence[Outcome], percent: float) -> float:
    """Return a percentile of the latencies in ms; NaN without outcomes."""
    return float(np.percentile([1000 * outcome.seconds for outcome in outcomes], percent)) if outcomes else float("nan")


class _Sender:
    """Sends requests on idle connections, or on new connections, and takes the answers.

    Attributes:
        outcomes: When each request was due, and what became of it, in the order in which they ended.
    """

    def __init__(self, port: int, request: bytes, address: str) -> None:
        self.outcomes: list[tuple[float, Outcome]] = []
        self._port = port
        self._request = request
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._idle: list[_Connection] = []  # the last used is last
        self._busy: set[_Connection] = set()

    def send(self, due: float) -> None:
        """Send the request that is due."""
        connection = None
        try:
            connection = self._idle_connection() or self._new_connection()
            connection.due = due
            self._busy.add(connection)
            connection.socket.sendall(self._request)
        except OSError:
            self._end(due, NO_ANSWER)
            if connection is not None:
                self._close(connection)

    def receive_until(self, end: float) -> None:
        """Take the answers that arrive until then, on the clock of `time.perf_counter`, and those that are there."""
        self._receive(max(0.0, end - time.perf_counter()))
        while (left := end - time.perf_counter()) > 0:
            self._receive(left)

    def receive_rest(self, end: float) -> None:
        """Take the answers to all requests, until then at most."""
        while self._busy and (left := end - time.perf_counter()) > 0:
            self._receive(left)

    def close(self) -> None:
        """Close all connections; requests without an answer get none."""
        for connection in self._busy:
            self._end(connection.due, NO_ANSWER)
        for connection in [*self._idle, *self._busy]:
            self._close(connection)
        self._selector.close()

    def _receive(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            connection: _Connection = key.data
            try:
                status = connection.receive()
            except OSError:
                status = NO_ANSWER
            if status is None:
                continue
            is_answer = connection in self._busy  # and no server that closes an idle connection
            if is_answer:
                self._end(connection.due, status)
            if is_answer and status != NO_ANSWER:
                self._busy.remove(connection)
                self._idle.append(connection)
            else:
                self._close(connection)

    def _end(self, due: float, status: int) -> None:
        self.outcomes.append((due, Outcome(status, time.perf_counter() - due)))

    def _idle_connection(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since > time.perf_counter() - IDLE_SECONDS:
                return connection
            self._close(connection)
        return None

    def _new_connection(self) -> _Connection:
        connection = _Connection(self._port, self._address, len(self._request))
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _close(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection:
    """A persistent connection with one request at a time.

    Attributes:
        socket: The socket, which never blocks.
        due: When its last request was due.
        idle_since: When its last answer ended.
    """

    def __init__(self, port: int, address: str, request_bytes: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * request_bytes)  # takes a request at once
        self.socket.setblocking(False)
        self.due = 0.0
        self.idle_since = 0.0
        self._received = b""

    def receive(self) -> int | None:
        """Take what has arrived, and return the answer's status if it is complete; OSError if the server has closed."""
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        if length is None or len(body) < int(length[1]):
            return None
        self._received = b""
        self.idle_since = -math.inf if _CLOSES.search(head) else time.perf_counter()
        return int(head.split(b" ", 2)[1])
