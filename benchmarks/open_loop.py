"""Open-loop load: requests at a given rate, whether or not earlier requests were answered, as independent users send.

A latency counts from the moment at which a request was due, so that a generator that falls behind hides nothing, to the
moment at which the answer arrived, which Linux notes. So the generator, which shares the processor with the gateway
that it measures, need not wake up for answers: it takes them when the next request is due.
"""

from __future__ import annotations

import math
import re
import select
import socket
import struct
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

_SO_TIMESTAMPNS: Final = 35
"""Option of Linux' sockets, which Python has no name for: data comes with the time at which it arrived."""
_TIMESPEC: Final = struct.Struct("@ll")
_LENGTH: Final = re.compile(rb"(?i)content-length: (\d+)")
_CLOSES: Final = re.compile(rb"(?i)connection: close")


@dataclass(frozen=True)
class Outcome:
    """What became of one request.

    Attributes:
        status: HTTP status, or `NO_ANSWER`.
        due: When the request was due, in seconds from the start of the measurement; negative during the warm-up.
        seconds: Time from then to the end of the answer.
    """

    status: int
    due: float
    seconds: float


@dataclass(frozen=True)
class Load:
    """Measurements of one load.

    Attributes:
        seconds: Length of the measurement.
        outcomes: What became of all requests, of the warm-up, too.
    """

    seconds: float
    outcomes: list[Outcome]

    @property
    def measured(self) -> list[Outcome]:
        """What became of the requests that were due during the measurement."""
        return [outcome for outcome in self.outcomes if outcome.due >= 0]

    def goodput(self, deadline: float | None) -> float:
        """Return the good answers per second: those with status 200 that came in time, and during the measurement.

        What waits when the measurement begins is answered in it, and what waits at its end is not: otherwise a queue
        that grows would count as answered.
        """
        good = (
            outcome
            for outcome in self.outcomes
            if outcome.status == 200 and (deadline is None or outcome.seconds <= deadline)
        )
        return sum(0 <= outcome.due + outcome.seconds < self.seconds for outcome in good) / self.seconds


def open_loop(port: int, request: bytes, *, rate: float, seconds: float, address: str = "127.0.0.1") -> Load:
    """Send a request at random times, `rate` times a second on average, and return what became of the requests.

    Args:
        port: Port of the gateway on this machine.
        request: Bytes of the HTTP request.
        rate: Mean requests per second; the intervals are exponentially distributed, with the same seed in each call.
        seconds: Length of the measurement, after `WARM_UP_SECONDS`.
        address: Loopback address from which the requests come; the gateway tells callers without keys apart by it.
    """
    moments = list(offsets(rate, WARM_UP_SECONDS + seconds))
    with closing(_Sender(port, request, address)) as sender:
        start = time.time()
        for moment in moments:
            time.sleep(max(0.0, start + moment - time.time()))
            sender.take_answers()
            sender.send(start + moment)
        sender.take_rest(time.time() + ANSWER_SECONDS)
    begin = start + WARM_UP_SECONDS
    return Load(seconds, [Outcome(status, due - begin, end - due) for status, due, end in sender.ended])


def percentile_ms(outcomes: Sequence[Outcome], percent: float) -> float:
    """Return a percentile of the latencies in ms; NaN without outcomes."""
    return float(np.percentile([1000 * outcome.seconds for outcome in outcomes], percent)) if outcomes else float("nan")


class _Sender:
    """Sends requests on idle connections, or on new connections, and takes the answers.

    Times are those of `time.time`, the clock by which Linux notes when data arrives.

    Attributes:
        ended: Status of each request, when it was due, and when it ended.
    """

    def __init__(self, port: int, request: bytes, address: str) -> None:
        self.ended: list[tuple[int, float, float]] = []
        self._port = port
        self._request = request
        self._address = address
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}  # by file descriptor
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
            self.ended.append((NO_ANSWER, due, time.time()))
            if connection is not None:
                self._close(connection)

    def take_answers(self, seconds: float = 0.0) -> None:
        """Take the answers that have arrived, or wait for the next answer."""
        for descriptor, _ in self._poll.poll(seconds):
            connection = self._connections[descriptor]
            try:
                status = connection.receive()
            except OSError:
                status = NO_ANSWER
            if status is None:
                continue
            is_answer = connection in self._busy  # and no server that closes an idle connection
            if is_answer:
                self.ended.append((status, connection.due, connection.received_at))
            if is_answer and status != NO_ANSWER:
                self._busy.remove(connection)
                self._idle.append(connection)
            else:
                self._close(connection)

    def take_rest(self, end: float) -> None:
        """Take the answers to all requests, until then at most."""
        while self._busy and (left := end - time.time()) > 0:
            self.take_answers(left)

    def close(self) -> None:
        """Close all connections; requests without an answer get none."""
        now = time.time()
        self.ended += [(NO_ANSWER, connection.due, now) for connection in self._busy]
        for connection in [*self._idle, *self._busy]:
            self._close(connection)
        self._poll.close()

    def _idle_connection(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since > time.time() - IDLE_SECONDS:
                return connection
            self._close(connection)
        return None

    def _new_connection(self) -> _Connection:
        connection = _Connection(self._port, self._address, len(self._request))
        self._connections[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)
        return connection

    def _close(self, connection: _Connection) -> None:
        self._poll.unregister(connection.socket)
        del self._connections[connection.socket.fileno()]
        connection.socket.close()
        self._busy.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection:
    """A persistent connection with one request at a time.

    Attributes:
        socket: The socket, which never blocks.
        due: When its last request was due.
        received_at: When data arrived last, or when the server had closed the connection.
        idle_since: When its last answer ended.
    """

    def __init__(self, port: int, address: str, request_bytes: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(address, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * request_bytes)  # takes a request at once
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self.socket.setblocking(False)
        self.due = 0.0
        self.received_at = 0.0
        self.idle_since = 0.0
        self._received = b""

    def receive(self) -> int | None:
        """Take what has arrived, and return the answer's status if it is complete; OSError if the server has closed."""
        self.received_at = time.time()
        data, notes, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(_TIMESPEC.size))
        if not data:
            raise ConnectionResetError("the server has closed the connection")
        for _, _, note in notes:  # none for the first data of the first connection: Linux begins a little later
            seconds, nanoseconds = _TIMESPEC.unpack(note)
            self.received_at = seconds + nanoseconds / 1e9
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head) if end else None
        if length is None or len(body) < int(length[1]):
            return None
        self._received = b""
        self.idle_since = -math.inf if _CLOSES.search(head) else time.time()
        return int(head.split(b" ", 2)[1])
