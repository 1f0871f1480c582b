"""Load of clients in one process: closed loop and open loop over raw connections, with the parser that uvicorn uses."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

import httptools
import psutil
import uvloop

from keras_archs.loadtest.loops import offsets

ANSWERED = 200
FAILED = 0
"""Status of a request whose connection was refused or broke."""
LATE = -1
"""Status of a request that its client gave up at the deadline."""


@dataclass
class Outcome:
    """What became of the requests of one load.

    Attributes:
        seconds: Length of the measurement.
        end: When the measurement ends, on the clock of `time.perf_counter`.
        answered_in_time: Number of answers that arrived before the end. What a queue holds then is answered later, and
            is no throughput.
        statuses: Status of each request; `FAILED` or `LATE` without an answer.
        latencies: Seconds of each request, in the same order; in the open loop from the moment when it was due.
        server_cpu: Processor time of the server's processes during the measurement, in seconds.
        client_cpu: Processor time of the client's process, in seconds.
    """

    seconds: float
    end: float = float("inf")
    answered_in_time: int = 0
    statuses: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    server_cpu: float = 0.0
    client_cpu: float = 0.0

    def add(self, status: int, latency: float) -> None:
        """Record one request, which has just ended."""
        self.answered_in_time += status == ANSWERED and time.perf_counter() <= self.end
        self.statuses.append(status)
        self.latencies.append(latency)

    @property
    def answered(self) -> list[float]:
        """Latencies of the requests that were answered."""
        return [latency for status, latency in zip(self.statuses, self.latencies, strict=True) if status == ANSWERED]

    @property
    def refused(self) -> list[float]:
        """Latencies of the requests that got an error."""
        return [latency for status, latency in zip(self.statuses, self.latencies, strict=True) if status > ANSWERED]

    @property
    def rate(self) -> float:
        """Answers per second during the measurement."""
        return self.answered_in_time / self.seconds


@dataclass(frozen=True)
class Target:
    """A server under load.

    Attributes:
        port: Port on 127.0.0.1.
        pid: Process whose processor time counts, with all of its children.
        requests: Whole HTTP requests, which are sent in turn.
    """

    port: int
    pid: int
    requests: tuple[bytes, ...]


def closed_loop(target: Target, *, clients: int, seconds: float) -> Outcome:
    """Let each client send its next request when it has received its answer; run it in a process of its own."""
    return uvloop.run(_measured(target, seconds, lambda outcome: _closed(target, clients, outcome)))


def open_loop(target: Target, *, rate: float, seconds: float, deadline: float) -> Outcome:
    """Send requests at random moments, whether or not earlier ones were answered; run it in a process of its own.

    Args:
        target: The server.
        rate: Requests per second, on average.
        seconds: Length of the measurement.
        deadline: Seconds after which a client gives up and closes its connection.
    """
    return uvloop.run(_measured(target, seconds, lambda outcome: _open(target, rate, deadline, outcome)))


async def _measured(target: Target, seconds: float, load: Callable[[Outcome], Awaitable[None]]) -> Outcome:
    server, client = cpu_seconds(target.pid), time.process_time()
    outcome = Outcome(seconds, end=time.perf_counter() + seconds)
    await load(outcome)
    outcome.server_cpu, outcome.client_cpu = cpu_seconds(target.pid) - server, time.process_time() - client
    return outcome


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process and all of its children."""
    total = 0.0
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


async def _closed(target: Target, clients: int, outcome: Outcome) -> None:
    requests = itertools.cycle(target.requests)

    async def client() -> None:
        connection: _Connection | None = None
        while (sent := time.perf_counter()) < outcome.end:
            status, connection = await _exchange(target.port, connection, next(requests))
            outcome.add(status, time.perf_counter() - sent)
        if connection is not None:
            connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))


async def _open(target: Target, rate: float, deadline: float, outcome: Outcome) -> None:
    idle: list[_Connection] = []
    requests = itertools.cycle(target.requests)

    async def client(due: float, request: bytes) -> None:
        connection = idle.pop() if idle else None
        try:
            async with asyncio.timeout(due + deadline - time.perf_counter()):
                status, connection = await _exchange(target.port, connection, request)
        except TimeoutError:
            status, connection = LATE, None
        outcome.add(status, time.perf_counter() - due)
        if connection is not None:
            idle.append(connection)

    start = outcome.end - outcome.seconds
    async with asyncio.TaskGroup() as tasks:
        for offset in offsets(rate, outcome.seconds):
            due = start + offset
            await asyncio.sleep(due - time.perf_counter())
            tasks.create_task(client(due, next(requests)))
    for connection in idle:
        connection.close()


async def _exchange(port: int, connection: _Connection | None, request: bytes) -> tuple[int, _Connection | None]:
    """Send a request; return the answer's status and the connection, or None if it cannot be used again."""
    try:
        if connection is None or connection.is_closed:
            _, connection = await asyncio.get_running_loop().create_connection(_Connection, "127.0.0.1", port)
        status = await connection.exchange(request)
    except OSError:
        return FAILED, None
    except asyncio.CancelledError:
        if connection is not None:
            connection.close()
        raise
    return status, None if connection.is_closed else connection


class _Connection(asyncio.Protocol):
    """A connection that sends one request at a time."""

    def __init__(self) -> None:
        self.is_closed = False
        self._answer: asyncio.Future[int] | None = None

    async def exchange(self, request: bytes) -> int:
        """Send a request and return the status of its answer, once the body has arrived."""
        self._parser = httptools.HttpResponseParser(self)
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error if isinstance(error, OSError) else ConnectionResetError("closed"))

    def on_message_complete(self) -> None:
        """Hand the status to whoever waits for it; the parser calls this."""
        if not self._parser.should_keep_alive():
            self.is_closed = True
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(self._parser.get_status_code())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least a share of the values does not exceed; infinity if there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else float("inf")
