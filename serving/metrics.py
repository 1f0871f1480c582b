"""Prometheus metrics: requests and their time, by model and status."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.errors import CLIENT_CLOSED_REQUEST


class RequestMetrics:
    """Counts and times classify requests. Model names that are not published share one label, so labels are bounded."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry, published: Callable[[], Collection[str]]) -> None:
        """Wraps `app` and registers its metrics in `registry`; `published` gives the names that get a label."""
        self._app = app
        self._published = published
        self._requests = Counter("keras_archs_requests", "Classify requests.", ["model", "status"], registry=registry)
        self._seconds = Histogram(
            "keras_archs_request_seconds", "Time to answer classify requests.", ["model"], registry=registry
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
            if scope["type"] == "http" and scope["path"].startswith("/classify/"):
                name = scope.get("path_params", {}).get("model", "")
                model = name if name in self._published() else "unknown"
                self._requests.labels(model, status).inc()
                self._seconds.labels(model).observe(time.perf_counter() - started)
