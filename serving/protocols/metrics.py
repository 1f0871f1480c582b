"""Prometheus metrics: requests and their duration, the versions of models, and the inference servers."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterator

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.engine import Engine, State
from serving.core.errors import CLIENT_CLOSED_REQUEST

ENDPOINTS = ("classify", "explain")


def create_router(registry: CollectorRegistry) -> APIRouter:
    """Create the route that Prometheus scrapes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class RequestMetrics:
    """Counts and times classify and explain requests.

    All names that are not published share the label "unknown", so that clients cannot create label values.
    """

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry, published: Callable[[], Collection[str]]) -> None:
        """Wrap `app` and register the metrics.

        Args:
            app: Application to measure.
            registry: Registry for the metrics.
            published: Returns the names of the published models.
        """
        self._app = app
        self._published = published
        self._requests = Counter(
            "keras_archs_requests", "Classify and explain requests.", ["endpoint", "model", "status"], registry=registry
        )
        self._seconds = Histogram(
            "keras_archs_request_seconds",
            "Seconds from request to response.",
            ["endpoint", "model"],
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        started = time.perf_counter()
        status = CLIENT_CLOSED_REQUEST  # unless a response starts

        async def recording_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, recording_send)
        finally:
            endpoint, slash, _ = scope.get("path", "").removeprefix("/").partition("/")
            if scope["type"] == "http" and slash and endpoint in ENDPOINTS:
                name = scope.get("path_params", {}).get("model", "")
                model = name if name in self._published() else "unknown"
                self._requests.labels(endpoint, model, status).inc()
                self._seconds.labels(endpoint, model).observe(time.perf_counter() - started)


class EngineMetrics(Collector):
    """States of an engine's models and servers, collected at each scrape."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield the current metrics."""
        versions = GaugeMetricFamily(
            "keras_archs_versions", "Versions of the published models.", labels=["model", "state"]
        )
        for model, statuses in self._engine.model_statuses().items():
            states = Tally(status.state for status in statuses)
            for state in State:
                versions.add_metric([model, state], states[state])
        yield versions

        up = GaugeMetricFamily("keras_archs_backend_up", "1 if the inference server answers.", labels=["backend"])
        circuit_open = GaugeMetricFamily(
            "keras_archs_backend_circuit_open",
            "1 while the inference server's circuit breaker is open.",
            labels=["backend"],
        )
        calls = CounterMetricFamily(
            "keras_archs_backend_calls", "Requests sent to the inference server.", labels=["backend"]
        )
        failures = CounterMetricFamily(
            "keras_archs_backend_failures", "Requests that the inference server failed.", labels=["backend"]
        )
        for backend in self._engine.backends():
            up.add_metric([backend.address], backend.is_up)
            circuit_open.add_metric([backend.address], backend.circuit_open)
            calls.add_metric([backend.address], backend.calls)
            failures.add_metric([backend.address], backend.failures)
        yield from (up, circuit_open, calls, failures)
