"""Metrics of requests: a client's upload and a client's own deadline are told apart from the gateway's work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from prometheus_client import CollectorRegistry

from serving.core import errors
from serving.protocols import problems
from serving.protocols.exchanges import RecordExchanges
from serving.protocols.metrics.requests import RequestMetrics
from tests.support.clock import Clock

CLASSIFY = {"endpoint": "classify", "model": "tiny"}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("serving.protocols.exchanges.time", clock)
    return clock


Answer = Callable[[Request], Any]


def samples(answer: Answer, body: AsyncIterator[bytes] | bytes = b"x") -> CollectorRegistry:
    """Post one request to `tiny`, answered by `answer`; return the metrics."""
    app = FastAPI()
    registry = CollectorRegistry()
    problems.install(app)
    metrics = RequestMetrics(registry, published=lambda: ["tiny"])
    app.add_middleware(RecordExchanges, recorders=[metrics])

    @app.post("/classify/{model}")
    async def classify(model: str, request: Request) -> Any:
        return await answer(request)

    async def post() -> None:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            await client.post("/classify/tiny", content=body)

    asyncio.run(post())
    return registry


def counted(registry: CollectorRegistry, status: int, problem: str) -> float | None:
    return registry.get_sample_value(
        "keras_archs_requests_total", CLASSIFY | {"status": str(status), "problem": problem, "reason": ""}
    )


def seconds(registry: CollectorRegistry, part: str) -> float | None:
    return registry.get_sample_value(f"keras_archs_{part}_seconds_sum", CLASSIFY)


def test_a_slow_upload_is_not_the_gateways_time(clock: Clock) -> None:
    async def upload() -> AsyncIterator[bytes]:
        yield b"first"
        clock.now += 20
        yield b"last"

    async def answer(request: Request) -> dict[str, str]:
        await request.body()
        clock.now += 0.25
        return {}

    registry = samples(answer, upload())
    assert (seconds(registry, "upload"), seconds(registry, "request")) == (20, 0.25)
    assert counted(registry, 200, "") == 1


def test_a_request_refused_before_its_body_is_complete_is_counted_and_not_timed(clock: Clock) -> None:
    async def too_slow(request: Request) -> None:
        clock.now += 30
        raise errors.UploadTimeoutError("the body did not arrive")

    async def unknown(request: Request) -> None:
        raise errors.VersionNotFoundError("no such version")

    for answer, status, problem in ((too_slow, 408, "upload-timeout"), (unknown, 404, "version-not-found")):
        registry = samples(answer)
        assert counted(registry, status, problem) == 1
        assert (seconds(registry, "upload"), seconds(registry, "request")) == (None, None)


@pytest.mark.parametrize(
    ("error", "status", "problem"),
    [
        (errors.DeadlineExceededError("late"), 504, "deadline-exceeded"),
        (errors.ClientDeadlineError("late"), 504, "client-deadline-exceeded"),
        (errors.OverloadedError("full"), 503, "overloaded"),
        (errors.BackendUnavailableError("gone"), 503, "backend-unavailable"),
        (RuntimeError("a bug"), 500, "internal-error"),
    ],
)
def test_each_failure_is_counted_by_its_problem(error: Exception, status: int, problem: str) -> None:
    async def answer(request: Request) -> None:
        await request.body()
        raise error

    registry = samples(answer)
    assert counted(registry, status, problem) == 1
    assert registry.get_sample_value("keras_archs_request_seconds_count", CLASSIFY) == 1


def test_a_connection_that_is_closed_before_its_request_arrives_is_counted() -> None:
    registry = CollectorRegistry()
    RequestMetrics(registry, published=list).refuse_connection(errors.HeadersTimeoutError("too slow"))
    assert registry.get_sample_value("keras_archs_refused_connections_total", {"problem": "headers-timeout"}) == 1


def test_requests_up_to_the_default_deadline_have_a_bucket(clock: Clock) -> None:
    async def answer(request: Request) -> dict[str, str]:
        await request.body()
        clock.now += 29
        return {}

    registry = samples(answer)
    name = "keras_archs_request_seconds_bucket"
    buckets = {le: registry.get_sample_value(name, CLASSIFY | {"le": le}) for le in ("10.0", "30.0")}
    assert buckets == {"10.0": 0, "30.0": 1}
