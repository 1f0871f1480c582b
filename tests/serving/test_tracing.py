"""Traces: one span per request, one per phase, the client's trace continued, and continued to TensorFlow Serving."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from serving.settings import Settings
from serving.tracing import Tracing, ids
from tests.support.fake_app import IMAGE, running_app
from tests.support.fake_runtime import publish
from tests.support.fake_server import AVAILABLE, FakeServer

TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CLIENTS_TRACE = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01", "tracestate": "vendor=1"}
UNSAMPLED = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-00"}


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Keeps the spans of the gateways of a test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(Tracing, "from_environment", lambda: Tracing(provider))
    return exporter


def traced(
    exporter: InMemorySpanExporter, repository: Path, path: str = "/classify/net", **request: Any
) -> dict[str, ReadableSpan]:
    """Post one image; return the spans by name."""

    async def scenario() -> None:
        async with running_app(repository, tracing=True) as client:
            await client.post(path, **({"content": IMAGE} | request))

    asyncio.run(scenario())
    spans = exporter.get_finished_spans()
    assert len({span.name for span in spans} - {"queue"}) == len(spans) - sum(span.name == "queue" for span in spans)
    return {span.name: span for span in spans}


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


def test_a_request_has_a_span_with_a_child_for_each_phase(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    spans = traced(exporter, tmp_path)
    request = spans.pop("POST classify")
    assert request.kind == SpanKind.SERVER
    assert request.parent is None
    assert spans.keys() == {"queue", "decode", "inference"}
    assert request.context is not None
    assert request.start_time is not None and request.end_time is not None
    for phase in spans.values():
        assert phase.parent is not None and phase.parent.span_id == request.context.span_id
        assert phase.start_time is not None and phase.end_time is not None
        assert request.start_time <= phase.start_time <= phase.end_time <= request.end_time
    given = attributes(request)
    assert (given["keras_archs.model"], given["keras_archs.version"]) == ("net", 7)
    assert (given["keras_archs.caller"], given["http.response.status_code"]) == ("192.0.2.7", 200)


def test_the_clients_trace_is_continued(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    for span in traced(exporter, tmp_path, headers=CLIENTS_TRACE).values():
        assert span.context is not None and f"{span.context.trace_id:032x}" == TRACE_ID
        assert span.context.trace_state["vendor"] == "1"
        if span.kind == SpanKind.SERVER:
            assert span.parent is not None and f"{span.parent.span_id:016x}" == PARENT_ID


@pytest.mark.parametrize("received", ["", "00-xyz", f"00-{'0' * 32}-{PARENT_ID}-01", "00-" + "a" * 10_000])
def test_a_damaged_traceparent_begins_a_new_trace(
    exporter: InMemorySpanExporter, tmp_path: Path, received: str
) -> None:
    assert traced(exporter, tmp_path, headers={"traceparent": received})["POST classify"].parent is None


def test_a_trace_that_the_client_does_not_sample_has_no_spans(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    assert not traced(exporter, tmp_path, headers=UNSAMPLED)


def test_a_failure_is_in_the_span_and_the_phases_before_it_are_too(
    exporter: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("serving.engines.embedded.EmbeddedModel.predict", broken)
    spans = traced(exporter, tmp_path)
    request = spans["POST classify"]
    assert spans.keys() == {"POST classify", "queue", "decode"}
    assert request.status.status_code == StatusCode.ERROR
    assert attributes(request)["error.type"] == "internal-error"


def test_a_refused_request_is_no_failure_of_the_gateway(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    (request,) = traced(exporter, tmp_path, "/classify/other").values()
    assert request.status.status_code == StatusCode.UNSET
    assert (attributes(request)["error.type"], attributes(request)["http.response.status_code"]) == (
        "model-not-found",
        404,
    )


def test_spans_have_neither_queries_nor_headers_nor_images(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    secret = {"Authorization": "Bearer secret-key", "X-API-Key": "secret-key", "Cookie": "secret-key"}
    spans = traced(exporter, tmp_path, "/classify/net?key=secret-key", headers=secret)
    shown = " ".join(span.to_json() for span in spans.values())
    assert "POST classify" in shown
    assert "secret-key" not in shown
    assert "PNG" not in shown


def test_probes_and_scrapes_are_not_traced(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running_app(tmp_path, tracing=True) as client:
            for path in ("/healthz", "/readyz", "/metrics", "/models", "/"):
                await client.get(path, headers=CLIENTS_TRACE)

    asyncio.run(scenario())
    assert not exporter.get_finished_spans()


def metadata_at_tensorflow_serving(repository: Path, **settings: Any) -> dict[str, Any]:
    """Send one request of a trace through a gateway; return the metadata of the call to the server behind it."""
    received: list[dict[str, Any]] = []

    async def note(_: Any, context: grpc.aio.ServicerContext) -> None:
        received.append(dict(context.invocation_metadata() or ()))

    async def scenario() -> None:
        server = FakeServer(states={7: AVAILABLE}, answer=note)
        await server.start()
        behind: dict[str, Any] = {"engine": "tf-serving", "backend": (f"127.0.0.1:{server.port}",)}
        async with running_app(repository, poll_seconds=0.02, **behind, **settings) as client:
            for _ in range(500):
                if (await client.get("/readyz")).is_success:
                    break
                await asyncio.sleep(0.02)
            received.clear()
            assert (await client.post("/classify/net", content=IMAGE, headers=CLIENTS_TRACE)).is_success
        await server.stop()

    asyncio.run(scenario())
    (metadata,) = received
    return metadata


def test_the_trace_goes_on_to_tensorflow_serving(exporter: InMemorySpanExporter, tmp_path: Path) -> None:
    metadata = metadata_at_tensorflow_serving(tmp_path, tracing=True)
    (call,) = (span for span in exporter.get_finished_spans() if span.kind == SpanKind.CLIENT)
    assert call.name == "tensorflow.serving.PredictionService/Predict"
    assert call.context is not None
    assert metadata["traceparent"] == f"00-{TRACE_ID}-{call.context.span_id:016x}-01"
    assert metadata["tracestate"] == "vendor=1"


def test_without_tracing_nothing_of_a_trace_goes_on(tmp_path: Path) -> None:
    assert not {"traceparent", "tracestate"} & metadata_at_tensorflow_serving(tmp_path).keys()


def test_lines_of_the_log_have_the_trace(
    exporter: InMemorySpanExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    noted: list[Mapping[str, str]] = []

    def note(_: logging.LogRecord) -> bool:
        noted.append(ids())
        return True

    monkeypatch.setattr(logging.getLogger("serving.access"), "disabled", False)
    monkeypatch.setattr(logging.getLogger("serving.access"), "level", logging.INFO)
    monkeypatch.setattr(logging.getLogger("serving.access"), "filters", [note])

    async def scenario() -> None:
        async with running_app(tmp_path, tracing=True, access_log=True) as client:
            await client.post("/classify/net", content=IMAGE, headers=CLIENTS_TRACE)

    asyncio.run(scenario())
    (span,) = (span for span in exporter.get_finished_spans() if span.kind == SpanKind.SERVER)
    assert span.context is not None
    assert noted == [{"trace_id": TRACE_ID, "span_id": f"{span.context.span_id:016x}"}]


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Run a receiver of OTLP over HTTP on loopback; yield its address, and what it receives."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_spans_go_to_the_collector_that_the_standard_variables_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> httpx.Response:
        async with running_app(tmp_path, tracing=True) as client:
            return await client.post("/classify/net", content=IMAGE, headers=CLIENTS_TRACE)

    with collector() as (address, received):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "cats")
        assert asyncio.run(scenario()).is_success
    exported = [spans for request in received for spans in request.resource_spans]
    names = {attribute.key: attribute.value.string_value for attribute in exported[0].resource.attributes}
    assert names["service.name"] == "cats"
    sent = [span for spans in exported for scope in spans.scope_spans for span in scope.spans]
    assert {span.name for span in sent} == {"POST classify", "queue", "decode", "inference"}
    assert {span.trace_id.hex() for span in sent} == {TRACE_ID}


def test_an_unknown_protocol_is_refused_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
    with pytest.raises(
        ValueError, match="OTEL_EXPORTER_OTLP_PROTOCOL is one of http/protobuf, grpc; got 'carrier-pigeon'"
    ):
        Tracing.from_environment()


def test_without_the_extra_the_setting_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.settings.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"tracing needs the extra otel: pip install 'keras-archs\[otel\]'"):
        Settings(tracing=True)


def test_a_gateway_without_tracing_imports_no_part_of_the_extra(tmp_path: Path) -> None:
    publish(tmp_path, "net", 1)
    script = (
        "import sys, pathlib; from serving.app import create_app; from serving.settings import Settings; "
        f"create_app(Settings(repository=pathlib.Path({str(tmp_path)!r}))); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
