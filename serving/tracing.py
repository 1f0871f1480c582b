"""Traces for OpenTelemetry: from the request, over what is done for it, to the calls of TensorFlow Serving.

Context travels as W3C Trace Context (`traceparent`, `tracestate`) in both directions. No other module imports
OpenTelemetry, and this module is imported only if the setting `tracing` is on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from typing import Final

from opentelemetry import context, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from serving.core.access import Caller
from serving.core.observer import Work
from serving.core.repository import ModelSpec
from serving.protocols.exchanges import Exchange
from serving.protocols.failure_log import printable

PREDICT: Final = "tensorflow.serving.PredictionService/Predict"
_PROTOCOLS: Final = ("http/protobuf", "grpc")
_propagator: Final = TraceContextTextMapPropagator()


class Tracing:
    """Makes spans of one tracer provider.

    Attributes:
        requests: Records a span for each request to a model.
        phases: Observes the service, and adds a span for each phase of the work.
    """

    def __init__(self, provider: TracerProvider) -> None:
        """Use `provider`, which `close` shuts down."""
        self._provider = provider
        self._tracer = provider.get_tracer("keras_archs", metadata.version("keras-archs"))
        self.requests = _RequestSpans(self._tracer)
        self.phases = _PhaseSpans(self._tracer)

    @classmethod
    def from_environment(cls) -> Tracing:
        """Send spans to where the standard variables `OTEL_*` say.

        Raises:
            ValueError: A variable has a value that is not supported.
        """
        given = OTELResourceDetector().detect().attributes  # of OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME
        provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "keras-archs", **given}))
        provider.add_span_processor(BatchSpanProcessor(_exporter()))
        return cls(provider)

    @contextmanager
    def outgoing(self, address: str) -> Iterator[Sequence[tuple[str, str]]]:
        """Make a span around a prediction of TensorFlow Serving; give the metadata that continue the trace there.

        Args:
            address: Address of the server, in gRPC's notation.
        """
        if not trace.get_current_span().get_span_context().is_valid:
            yield ()  # a prediction of the gateway's own
            return
        service, _, method = PREDICT.partition("/")
        attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method, "server.address": address}
        with self._tracer.start_as_current_span(PREDICT, kind=SpanKind.CLIENT, attributes=attributes):
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            yield tuple(carrier.items())

    def close(self) -> None:
        """Send the remaining spans, and stop."""
        self._provider.shutdown()


def ids() -> Mapping[str, str]:
    """Return `trace_id` and `span_id` of the current request; empty outside of traces."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(span.trace_id), "span_id": trace.format_span_id(span.span_id)}


class _RequestSpans:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def begin(self, exchange: Exchange) -> None:
        if not exchange.endpoint:
            return
        caller = _propagator.extract(exchange, context.Context(), _HEADERS)
        span = self._tracer.start_span(
            f"{exchange.method} {exchange.endpoint}",
            caller,
            SpanKind.SERVER,
            {
                "http.request.method": exchange.method,
                "url.path": printable(exchange.path),
                "client.address": exchange.client,
            },
        )
        # stays the current span of this task, as the exchange does
        context.attach(trace.set_span_in_context(span, caller))

    def end(self, exchange: Exchange) -> None:
        span = trace.get_current_span()
        if not exchange.endpoint or not span.is_recording():
            return
        span.set_attribute("http.response.status_code", exchange.status)
        span.set_attribute("http.request.body.size", exchange.received)
        span.set_attribute("keras_archs.caller", exchange.caller)
        span.set_attribute("keras_archs.model", printable(exchange.model))
        if exchange.work:
            span.set_attribute("keras_archs.version", exchange.work.version)
        if exchange.problem:
            span.set_attribute("error.type", exchange.problem)
        if exchange.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        span.end()


class _PhaseSpans:
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def asked(self, spec: ModelSpec, caller: Caller) -> None:
        """Do nothing: the span of the request has model and caller."""

    def begin(self, work: Work) -> None:
        """Do nothing: the phases are measured already, so their spans are made when the work has ended."""

    def end(self, work: Work) -> None:
        if not trace.get_current_span().is_recording():
            return
        epoch = time.time_ns() - time.perf_counter_ns()
        for phase in work.phases:
            started = epoch + int(phase.started * 1e9)
            self._tracer.start_span(phase.name, start_time=started).end(started + int(phase.seconds * 1e9))


class _Headers(Getter[Exchange]):
    """Reads the headers of a request for the propagator."""

    def get(self, carrier: Exchange, key: str) -> list[str] | None:
        value = carrier.header(key)
        return None if value is None else [value]

    def keys(self, carrier: Exchange) -> list[str]:
        return []  # no propagator of this module asks


_HEADERS: Final = _Headers()


def _exporter() -> SpanExporter:
    variable = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
    if variable not in os.environ:
        variable = "OTEL_EXPORTER_OTLP_PROTOCOL"
    protocol = os.environ.get(variable, _PROTOCOLS[0])
    if protocol == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter()
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    raise ValueError(f"{variable} is one of {', '.join(_PROTOCOLS)}; got {protocol!r}")
