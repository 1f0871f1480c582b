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
from serving.core.errors import CLIENT_CLOSED_REQUEST, ServingError
from serving.core.repository import EVERY_MODEL

ENDPOINTS = ("classify", "explain")
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # 30 s: default of both timeouts


def create_router(registry: CollectorRegistry) -> APIRouter:
    """Create the route that Prometheus scrapes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router


class RequestMetrics:
    """Counts and times classify and explain requests.

    The time that a client takes to send the body is measured apart from the time that the gateway takes to answer. All
    names that are not published share the label "unknown", so that clients cannot create label values.
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
            "keras_archs_requests",
            "Classify and explain requests; `problem` is the last part of the problem document's `type`, or empty.",
            ["endpoint", "model", "status", "problem"],
            registry=registry,
        )
        self._upload_seconds = Histogram(
            "keras_archs_upload_seconds",
            "Seconds from a request's headers to the last byte of its body.",
            ["endpoint", "model"],
            buckets=SECONDS,
            registry=registry,
        )
        self._request_seconds = Histogram(
            "keras_archs_request_seconds",
            "Seconds from the last byte of a request's body to the start of the response; without requests that are "
            "answered before their body is complete.",
            ["endpoint", "model"],
            buckets=SECONDS,
            registry=registry,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        endpoint, slash, _ = scope.get("path", "").removeprefix("/").partition("/")
        if scope["type"] != "http" or not slash or endpoint not in ENDPOINTS:
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        status = CLIENT_CLOSED_REQUEST  # unless a response starts
        started = time.perf_counter()
        uploaded: float | None = None
        answered: float | None = None

        async def recording_receive() -> Message:
            nonlocal uploaded
            message = await receive()
            if uploaded is None and message["type"] == "http.request" and not message.get("more_body", False):
                uploaded = time.perf_counter()
            return message

        async def recording_send(message: Message) -> None:
            nonlocal answered, status
            if message["type"] == "http.response.start":
                answered, status = time.perf_counter(), message["status"]
            await send(message)

        try:
            await self._app(scope, recording_receive, recording_send)
        except Exception:  # answered outside of this middleware
            status, state["problem"] = ServingError.status, ServingError.slug
            raise
        finally:
            name = scope.get("path_params", {}).get("model", "")
            model = name if name in self._published() else "unknown"
            self._requests.labels(endpoint, model, status, state.get("problem", "")).inc()
            if uploaded is not None:
                self._upload_seconds.labels(endpoint, model).observe(uploaded - started)
                self._request_seconds.labels(endpoint, model).observe((answered or time.perf_counter()) - uploaded)


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

        problems = GaugeMetricFamily(
            "keras_archs_repository_problems",
            "What is not served as it was meant to be; GET /models has the reasons. Model * is the whole repository.",
            labels=["model"],
        )
        found = {EVERY_MODEL: (), **self._engine.problems()}
        for model in sorted(found.keys() | self._engine.model_statuses().keys()):
            problems.add_metric([model], len(found.get(model, ())))
        yield problems

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
