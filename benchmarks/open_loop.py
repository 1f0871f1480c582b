"""Open-loop load: requests at a given rate, whether or not earlier requests were answered, as independent users send.

A latency counts from the moment at which a request was due, so that a generator that falls behind hides nothing.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, cast

import numpy as np
import uvloop

WARM_UP_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 60.0
IDLE_SECONDS: Final = 2.0
"""Age of connections that are not used again, because the server may close them at the same moment."""
NO_ANSWER: Final = 0
"""Status of a request whose connection ended, or that got no answer within `ANSWER_SECONDS`."""


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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_open_loop(port, request, rate, seconds, address))


def percentile_ms(outcomes: Sequence[Outcome], percent: float) -> float:
    """Return a percentile of the latencies in ms; NaN without outcomes."""
    return float(np.percentile([1000 * outcome.seconds for outcome in outcomes], percent)) if outcomes else float("nan")


async def _open_loop(port: int, request: bytes, rate: float, seconds: float, address: str) -> list[Outcome]:
    loop = asyncio.get_running_loop()
    chance = random.Random(0)
    idle: deque[_Connection] = deque()
    outcomes: list[tuple[float, Outcome]] = []

    async def exchange(due: float) -> None:
        status = NO_ANSWER
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while idle and (idle[-1].is_closed or idle[-1].idle_since < loop.time() - IDLE_SECONDS):
                    idle.pop().close()
                if idle:
                    connection = idle.pop()
                else:
                    _, connection = await loop.create_connection(
                        lambda: _Connection(idle.append), "127.0.0.1", port, local_addr=(address, 0)
                    )
                status = await connection.exchange(request)
        except (OSError, TimeoutError):
            pass
        outcomes.append((due, Outcome(status, loop.time() - due)))

    tasks = set()
    start = due = loop.time()
    while (due := due + chance.expovariate(rate)) < start + WARM_UP_SECONDS + seconds:
        await asyncio.sleep(max(0.0, due - loop.time()))
        task = asyncio.create_task(exchange(due))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks)
    while idle:
        idle.pop().close()
    return [outcome for due, outcome in outcomes if due >= start + WARM_UP_SECONDS]


class _Connection(asyncio.Protocol):
    """A persistent connection with one request at a time."""

    def __init__(self, on_idle: Callable[[_Connection], None]) -> None:
        self.is_closed = False
        self.idle_since = 0.0
        self._on_idle = on_idle
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._received = b""

    async def exchange(self, request: bytes) -> int:
        assert self._transport is not None
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answer = answer
        self._transport.write(request)
        try:
            return await answer
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head) if end else None
        if length is None or len(body) < int(length[1]) or self._answer is None or self._answer.done():
            return
        self._received = b""
        self._answer.set_result(int(head.split(b" ", 2)[1]))
        if re.search(rb"(?i)connection: close", head):
            self.close()
        else:
            self.idle_since = asyncio.get_running_loop().time()
            self._on_idle(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(NO_ANSWER)
