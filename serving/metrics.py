"""Prometheus metrics: requests and their time, by endpoint, model and status."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import CLIENT_CLOSED_REQUEST

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
