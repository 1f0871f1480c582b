"""Prometheus metrics: requests and their time, the versions of models, and the inference servers."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.engine import Engine, State
from serving.core.errors import CLIENT_CLOSED_REQUEST

ENDPOINTS = ("classify", "explain")


class RequestMetrics:
    """Counts and times requests that bring images. Model names that are not published share one label, so few exist."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry, published: Callable[[], Collection[str]]) -> None:
        """Wraps `app` and registers its metrics in `registry`; `published` gives the names that get a label."""
        self._app = app
        self._published = published
        self._requests = Counter(
            "keras_archs_requests", "Requests that bring images.", ["endpoint", "model", "status"], registry=registry
        )
        self._seconds = Histogram(
            "keras_archs_request_seconds", "Time to answer them.", ["endpoint", "model"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection event."""
        started = time.perf_counter()
        status = CLIENT_CLOSED_REQUEST  # until there is an answer

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watching)
        finally:
            endpoint, slash, _ = scope.get("path", "").removeprefix("/").partition("/")
            if scope["type"] == "http" and slash and endpoint in ENDPOINTS:
                name = scope.get("path_params", {}).get("model", "")
                model = name if name in self._published() else "unknown"
                self._requests.labels(endpoint, model, status).inc()
                self._seconds.labels(endpoint, model).observe(time.perf_counter() - started)


class EngineMetrics(Collector):
    """What an engine knows of its models and servers, read when somebody asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        versions = GaugeMetricFamily(
            "keras_archs_versions", "Versions of the published models.", labels=["model", "state"]
        )
        for model, statuses in self._engine.models().items():
            states = Tally(status.state for status in statuses)
            for state in State:
                versions.add_metric([model, state], states[state])
        yield versions

        up = GaugeMetricFamily("keras_archs_backend_up", "1 if the inference server answers.", labels=["backend"])
        left_alone = GaugeMetricFamily(
            "keras_archs_backend_left_alone", "1 while its circuit breaker is open.", labels=["backend"]
        )
        calls = CounterMetricFamily("keras_archs_backend_calls", "Requests sent to it.", labels=["backend"])
        failures = CounterMetricFamily("keras_archs_backend_failures", "Requests that it failed.", labels=["backend"])
        for backend in self._engine.backends():
            up.add_metric([backend.address], backend.answers)
            left_alone.add_metric([backend.address], backend.left_alone)
            calls.add_metric([backend.address], backend.calls)
            failures.add_metric([backend.address], backend.failures)
        yield from (up, left_alone, calls, failures)
