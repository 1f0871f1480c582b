"""Closed and open loops against a server in the test's own event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

import pytest

from keras_archs.loadtest.loops import Arrivals, closed_loop, open_loop
from keras_archs.loadtest.recorder import Figures, Recorder
from keras_archs.loadtest.requests import LoadRequest
from keras_archs.loadtest.sender import Outcome

Send = Callable[[LoadRequest], Awaitable[Outcome]]

PAUSE = 0.5
SECONDS = 2 * PAUSE
SERVICE = 0.002


def requests() -> Iterator[LoadRequest]:
    while True:
        yield LoadRequest("/", {}, b"12345")


def pausing_server() -> Send:
    """Answer one request after the other, after 2 ms each, and pause once."""
    free = asyncio.Lock()
    begin = time.perf_counter() + PAUSE / 4
    pauses = iter([PAUSE])

    async def send(_: LoadRequest) -> Outcome:
        async with free:
            await asyncio.sleep(SERVICE if time.perf_counter() < begin else next(pauses, SERVICE))
        return Outcome()

    return send


def measured_closed(server: Callable[[], Send], clients: int, seconds: float = SECONDS) -> Figures:
    recorder = Recorder(clients=clients)

    async def main() -> None:
        await closed_loop(server(), requests(), recorder, clients=clients, seconds=seconds)

    asyncio.run(main())
    return recorder.figures()


def measured_open(
    server: Callable[[], Send], rate: float, seconds: float = SECONDS, arrivals: Arrivals = "constant"
) -> Figures:
    recorder = Recorder(rate=rate)

    async def main() -> None:
        await open_loop(server(), requests(), recorder, rate=rate, arrivals=arrivals, seconds=seconds)

    asyncio.run(main())
    return recorder.figures()


def test_a_pause_counts_for_every_request_that_it_delays() -> None:
    closed, opened = measured_closed(pausing_server, 1), measured_open(pausing_server, 100)
    assert closed.latency
    assert opened.latency
    pause = 1000 * PAUSE
    # one client waits, and sees the pause once among hundreds of answers
    assert closed.latency.max >= 0.99 * pause > pause / 2 > closed.latency.p90
    # of users who come at their own time, half come during the pause: nine in ten answers take up to 0.8 of it
    assert opened.latency.max >= 0.9 * pause
    assert opened.latency.p90 > pause / 2


def test_a_request_that_the_client_sends_late_counts_from_the_time_it_was_due() -> None:
    async def blocking(_: LoadRequest) -> Outcome:
        time.sleep(0.02)  # noqa: ASYNC251  a client that is busy for twice as long as it may be
        return Outcome()

    opened = measured_open(lambda: blocking, 100, 0.5)
    assert opened.latency
    assert opened.late
    assert opened.latency.p99 > 300
    assert opened.late.p99 > 300
    assert opened.is_client_slow


def test_a_closed_loop_notices_that_the_client_is_busy() -> None:
    async def blocking(_: LoadRequest) -> Outcome:
        time.sleep(0.02)  # noqa: ASYNC251
        await asyncio.sleep(0)
        return Outcome()

    assert measured_closed(lambda: blocking, 4, 0.5).is_client_slow


def test_an_open_loop_sends_as_many_requests_as_it_should() -> None:
    async def send(_: LoadRequest) -> Outcome:
        return Outcome()

    assert measured_open(lambda: send, 200, 0.5).requests == 100
    counts = [measured_open(lambda: send, 200, 0.5, "poisson").requests for _ in range(2)]
    assert counts[0] == counts[1]  # the same times in each run
    assert 70 < counts[0] < 130


def test_answers_after_the_end_are_awaited_but_are_no_throughput() -> None:
    async def slow(_: LoadRequest) -> Outcome:
        await asyncio.sleep(0.5)
        return Outcome()

    figures = measured_open(lambda: slow, 100, 0.2)
    assert figures.requests == 20
    assert figures.answers_per_second == 0
    assert figures.latency
    assert figures.latency.p50 >= 499


def test_clients_send_at_the_same_time() -> None:
    most, now = 0, 0

    async def send(_: LoadRequest) -> Outcome:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return Outcome()

    measured_closed(lambda: send, 8, 0.1)
    assert (most, now) == (8, 0)


@pytest.mark.parametrize("clients", [None, 2])
def test_an_interrupted_load_keeps_its_figures(clients: int | None) -> None:
    recorder = Recorder(clients=clients)

    async def send(_: LoadRequest) -> Outcome:
        await asyncio.sleep(0.01)
        return Outcome()

    async def main() -> None:
        if clients is None:
            loop = open_loop(send, requests(), recorder, rate=100, arrivals="constant", seconds=60)
        else:
            loop = closed_loop(send, requests(), recorder, clients=clients, seconds=60)
        load = asyncio.create_task(loop)
        while recorder.is_empty:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        load.cancel()
        with pytest.raises(asyncio.CancelledError):
            await load

    asyncio.run(main())
    figures = recorder.figures()
    assert 0 < figures.seconds < 60
    assert figures.answers_per_second > 0
