"""Counts and durations of requests to models."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram

from serving.core.errors import ServingError
from serving.protocols.exchanges import Exchange
from serving.protocols.metrics.buckets import SECONDS

UNKNOWN: Final = "unknown"


class RequestMetrics:
    """Counts and times requests to models.

    The time that a client takes to send the body is measured apart from the time that the gateway takes to answer. All
    names that are not published share the label "unknown", so that clients cannot create label values.
    """

    def __init__(self, registry: CollectorRegistry, published: Callable[[], Collection[str]]) -> None:
        """Register the metrics.

        Args:
            registry: Registry for the metrics.
            published: Returns the names of the published models.
        """
        self._published = published
        self._requests = Counter(
            "keras_archs_requests",
            "Requests to models; `problem` is the last part of the problem document's `type`, `reason` the limit that "
            "was reached; both may be empty.",
            ["endpoint", "model", "status", "problem", "reason"],
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
        self._refused_connections = Counter(
            "keras_archs_refused_connections",
            "Connections that were closed before their request reached the application, by the problem that they got.",
            ["problem"],
            registry=registry,
        )

    def refuse_connection(self, error: ServingError) -> None:
        """Count a connection that was closed before its request reached the application."""
        self._refused_connections.labels(error.slug).inc()

    def begin(self, exchange: Exchange) -> None:
        """Do nothing: requests are counted when they have ended."""

    def end(self, exchange: Exchange) -> None:
        """Count a request that has ended."""
        if not exchange.endpoint:
            return
        endpoint = exchange.endpoint
        model = exchange.model if exchange.model in self._published() else UNKNOWN
        self._requests.labels(endpoint, model, exchange.status, exchange.problem, exchange.reason).inc()
        if exchange.uploaded is not None:
            answered = exchange.answered or exchange.ended or exchange.uploaded
            self._upload_seconds.labels(endpoint, model).observe(exchange.uploaded - exchange.started)
            self._request_seconds.labels(endpoint, model).observe(answered - exchange.uploaded)
