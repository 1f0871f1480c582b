"""A measurement: a first request, a warm-up, and one load after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_archs.client.errors import ClientError
from keras_archs.loadtest.loops import Arrivals, closed_loop, endless, open_loop
from keras_archs.loadtest.recorder import Recorder
from keras_archs.loadtest.requests import LoadRequest
from keras_archs.loadtest.sender import Sender

OPEN_LOOP_CONNECTIONS = 1000
"""Connections of an open loop, as many as the gateway accepts by default; further requests wait in the client."""


@dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        url: URL of the server.
        requests: Requests to send, in turn; at least one.
        clients: Numbers of clients of a closed loop, one load each; empty for an open loop.
        rates: Requests per second of an open loop, one load each; empty for a closed loop.
        arrivals: When the requests of an open loop are sent.
        seconds: Length of each load.
        warm_up_seconds: Length of the load before the first, which is not recorded.
        timeout: Seconds after which a request has failed.
        key: API key or token; None for none.
    """

    url: str
    requests: Sequence[LoadRequest]
    clients: Sequence[int] = ()
    rates: Sequence[float] = ()
    arrivals: Arrivals = "poisson"
    seconds: float = 10.0
    warm_up_seconds: float = 2.0
    timeout: float = 30.0
    key: str | None = None


async def measure(plan: Plan, begin: Callable[[Recorder], None]) -> None:
    """Measure one load after the other.

    Args:
        plan: What to measure.
        begin: Called with each load's recorder when the load begins.

    Raises:
        ClientError: The first request failed, so that nothing is worth measuring.
    """
    requests = endless(list(plan.requests))
    connections = max(plan.clients) if plan.clients else OPEN_LOOP_CONNECTIONS
    sender = Sender(plan.url, key=plan.key, timeout=plan.timeout, connections=connections)
    try:
        first = await sender.send(plan.requests[0])
        if first.error is not None:
            raise ClientError(f"the first request failed: {first.error}: {first.detail}")
        await closed_loop(
            sender.send,
            requests,
            Recorder(),
            clients=plan.clients[0] if plan.clients else 1,
            seconds=plan.warm_up_seconds,
        )
        for clients in plan.clients:
            begin(recorder := Recorder(clients=clients))
            await closed_loop(sender.send, requests, recorder, clients=clients, seconds=plan.seconds)
        for rate in plan.rates:
            begin(recorder := Recorder(rate=rate))
            await open_loop(sender.send, requests, recorder, rate=rate, arrivals=plan.arrivals, seconds=plan.seconds)
    finally:
        await sender.close()
