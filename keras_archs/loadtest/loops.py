"""The two kinds of load.

A closed loop has clients that wait for an answer before they send again: when the server pauses, they pause too, so it
shows the throughput at a given concurrency. An open loop sends when the time has come, as independent users do. Its
latencies count from that moment, even if a request was sent later: otherwise a pause would count for the requests that
were already sent, and not for those that had to wait ("coordinated omission").
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate, count, cycle, repeat, takewhile
from typing import Literal

from keras_archs.loadtest.recorder import Recorder
from keras_archs.loadtest.requests import LoadRequest
from keras_archs.loadtest.sender import Outcome

Arrivals = Literal["poisson", "constant"]
Send = Callable[[LoadRequest], Awaitable[Outcome]]

_TICK = 0.02
_TIMER = 0.001  # resolution of the event loop's timers


async def closed_loop(
    send: Send, requests: Iterator[LoadRequest], recorder: Recorder, *, clients: int, seconds: float
) -> None:
    """Let clients send one request after the other.

    Args:
        send: Sends a request and returns what became of it.
        requests: Requests to send, without end.
        recorder: Keeps what becomes of the requests.
        clients: Number of clients.
        seconds: Time after which no request is sent; answers are awaited.
    """
    start = time.perf_counter()
    end = start + seconds

    async def client() -> None:
        while (sent := time.perf_counter()) < end:
            await _recorded(send, next(requests), recorder, due=sent, end=end)

    with _lasting(recorder, start, end):
        async with asyncio.TaskGroup() as tasks:
            ticks = tasks.create_task(_tick(recorder))
            working = [tasks.create_task(client()) for _ in range(clients)]
            await asyncio.wait(working)
            ticks.cancel()


async def open_loop(
    send: Send,
    requests: Iterator[LoadRequest],
    recorder: Recorder,
    *,
    rate: float,
    arrivals: Arrivals,
    seconds: float,
) -> None:
    """Send requests at a rate, whatever becomes of earlier requests.

    Args:
        send: Sends a request and returns what became of it.
        requests: Requests to send, without end.
        recorder: Keeps what becomes of the requests.
        rate: Requests per second.
        arrivals: "constant" for equal intervals; "poisson" for independent users, with exponentially distributed
            intervals, the same in each call.
        seconds: Time after which no request is sent; answers are awaited.
    """
    start = time.perf_counter()
    end = start + seconds
    with _lasting(recorder, start, end):
        async with asyncio.TaskGroup() as tasks:
            for offset in offsets(rate, seconds, arrivals):
                due = start + offset
                await _until(due)
                recorder.late(time.perf_counter() - due)
                tasks.create_task(_recorded(send, next(requests), recorder, due=due, end=end))


def endless(requests: list[LoadRequest]) -> Iterator[LoadRequest]:
    """Return the requests over and over."""
    return cycle(requests)


def offsets(rate: float, seconds: float, arrivals: Arrivals = "poisson") -> Iterator[float]:
    """Return the seconds from the start to each request of an open loop.

    Args:
        rate: Requests per second.
        seconds: Time after which no request is sent.
        arrivals: As for `open_loop`.
    """
    if arrivals == "constant":
        moments: Iterator[float] = (number / rate for number in count())
    else:
        chance = random.Random(0)  # noqa: S311  not for secrets
        moments = accumulate(chance.expovariate(rate) for _ in repeat(None))
    return takewhile(lambda offset: offset < seconds, moments)


async def _recorded(send: Send, request: LoadRequest, recorder: Recorder, *, due: float, end: float) -> None:
    sent = time.perf_counter()
    outcome = await send(request)
    done = time.perf_counter()
    recorder.add(outcome, latency=done - due, service=done - sent, sent=len(request.body), is_during=done <= end)


@contextmanager
def _lasting(recorder: Recorder, start: float, end: float) -> Iterator[None]:
    """Record how long the measurement lasts, also when it is interrupted."""
    try:
        yield
    finally:
        recorder.lasted(min(time.perf_counter(), end) - start)


async def _tick(recorder: Recorder) -> None:
    """Record how late this process acts: other programs, or too many requests, may keep it from the processor."""
    while True:
        due = time.perf_counter() + _TICK
        await _until(due)
        recorder.late(time.perf_counter() - due)


async def _until(moment: float) -> None:
    """Wait until a moment, more exactly than a timer alone could."""
    await asyncio.sleep(max(0.0, moment - time.perf_counter() - _TIMER))
    while time.perf_counter() < moment:  # noqa: ASYNC110  time passes without an event
        await asyncio.sleep(0)
