"""What the clients send again, what they do not, and the deadline that both keep."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from keras_archs.client import Client, NoAnswerError, ProblemError
from tests.client.documents import classification
from tests.support.scripted_server import Scripted, answer, problem, scripted_server

Connect = Callable[..., Any]

GOOD = answer(classification("cat"))
BUSY = problem(503, "overloaded", Retry_After="0")
SECONDS = 0.3  # a deadline that a test waits for


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(BUSY, id="503"),
        pytest.param(problem(429, "rate-limited", Retry_After="0"), id="429"),
        pytest.param(problem(503, "overloaded", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), id="503 until a date"),
        pytest.param(answer(b"<html>", 503, Content_Type="text/html", Retry_After="0"), id="503 of a proxy"),
        pytest.param(Scripted(closes=True), id="a closed connection"),
        pytest.param(answer(b'{"model"', length=500), id="half an answer"),
    ],
)
def test_a_failure_that_passes_is_not_seen(connect: Connect, failure: Scripted) -> None:
    with scripted_server(failure, failure, GOOD) as server:
        assert connect(server.url).classify(b"image", "tiny").best.label == "cat"
    assert [received.body for received in server.received] == [b"image"] * 3


@pytest.mark.parametrize(
    ("failure", "slug"),
    [
        (problem(400, "invalid-image"), "invalid-image"),
        (problem(404, "model-not-found", Retry_After="0"), "model-not-found"),
        (problem(503, "overloaded"), "overloaded"),
        (problem(504, "deadline-exceeded", Retry_After="0"), "deadline-exceeded"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_that_stays_is_reported_at_once(connect: Connect, failure: Scripted, slug: str) -> None:
    with scripted_server(failure) as server, pytest.raises(ProblemError) as raised:
        connect(server.url).classify(b"image", "tiny")
    assert raised.value.slug == slug
    assert len(server.received) == 1


def test_the_last_failure_is_reported_when_all_attempts_fail(connect: Connect) -> None:
    with scripted_server(BUSY) as server, pytest.raises(ProblemError, match="told by the script"):
        connect(server.url, attempts=4).classify(b"image", "tiny")
    assert len(server.received) == 4


def test_one_attempt_means_that_nothing_is_sent_again(connect: Connect) -> None:
    with scripted_server(BUSY, GOOD) as server, pytest.raises(ProblemError):
        connect(server.url, attempts=1).classify(b"image", "tiny")


def test_a_pause_that_would_pass_the_deadline_is_not_made(connect: Connect) -> None:
    started = time.monotonic()
    with scripted_server(problem(503, "overloaded", Retry_After="60")) as server, pytest.raises(ProblemError) as raised:
        connect(server.url, timeout=30).classify(b"image", "tiny")
    assert raised.value.retry_after == 60
    assert len(server.received) == 1
    assert time.monotonic() - started < 30


def test_the_gateway_is_told_how_much_time_is_left(connect: Connect) -> None:
    (first, first_passed), (second, second_passed) = told(connect, BUSY, GOOD, of_client=10)
    assert 10 > first > second
    # nearly all that was left, however long the machine has held up the test
    assert first > 0.9 * (10 - first_passed)
    assert second > 0.9 * (10 - second_passed)


def test_a_call_has_a_timeout_of_its_own(connect: Connect) -> None:
    ((timeout, passed),) = told(connect, GOOD, of_call=2)
    assert 2 > timeout > 0.9 * (2 - passed)


def told(
    connect: Connect, *answers: Scripted, of_client: float = 30, of_call: float | None = None
) -> list[tuple[float, float]]:
    """Return the timeout that each request of a call tells the gateway, and the seconds until that request arrived."""
    arrived: list[float] = []
    steps = iter(answers)

    def script(_: object) -> Scripted:
        arrived.append(time.monotonic())
        time.sleep(0.05)  # the gateway is told three digits, in which this shows
        return next(steps)

    with scripted_server(script=script) as server:
        client = connect(server.url, timeout=of_client)
        started = time.monotonic()
        client.classify(b"image", "tiny", timeout=of_call)
    return [
        (float(received.query["timeout"]), moment - started)
        for received, moment in zip(server.received, arrived, strict=True)
    ]


@pytest.mark.parametrize(
    "silence",
    [
        pytest.param(Scripted(hangs=True), id="before the headers"),
        pytest.param(Scripted(answer(b"x" * 100).content[:-50], hangs=True), id="in the middle of the body"),
    ],
)
def test_a_server_that_hangs_is_left_at_the_deadline(connect: Connect, silence: Scripted) -> None:
    started = time.monotonic()
    with scripted_server(silence) as server, pytest.raises(NoAnswerError, match="before the deadline"):
        connect(server.url, timeout=SECONDS).classify(b"image", "tiny")
    assert time.monotonic() - started >= SECONDS
    assert len(server.received) == 1


def test_the_body_has_the_time_that_the_headers_left(connect: Connect) -> None:
    def late_headers(_: object) -> Scripted:
        time.sleep(1.5)
        return Scripted(answer(b"x" * 100).content[:-50], hangs=True)

    with scripted_server(script=late_headers) as server, pytest.raises(NoAnswerError, match="before the deadline"):
        client = connect(server.url, timeout=2)
        started = time.monotonic()
        client.classify(b"image", "tiny")
    assert time.monotonic() - started < 3.4  # 3.5 s if the body had 2 s of its own


def test_waiting_for_a_connection_is_a_part_of_the_time() -> None:
    limits = httpx.Limits(max_connections=1)
    with (
        scripted_server(Scripted(hangs=True)) as server,
        httpx.Client(limits=limits) as http,
        ThreadPoolExecutor(2) as two,
    ):

        def ask(timeout: float) -> float:
            started = time.monotonic()
            with pytest.raises(NoAnswerError, match="before the deadline"):
                Client(server.url, http=http).classify(b"image", "tiny", timeout=timeout)
            return time.monotonic() - started

        first = two.submit(ask, 1)
        while not server.received:
            time.sleep(0.001)
        second = two.submit(ask, 1.5)
        assert first.result() >= 1
        assert 1.5 <= second.result() < 2.4  # 2.5 s if the time began with the connection


def test_a_gateway_that_is_not_there_is_named(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    with pytest.raises(NoAnswerError, match=f"cannot connect to http://127.0.0.1:{port}"):
        connect(f"http://127.0.0.1:{port}").models()


def test_a_gateway_that_starts_meanwhile_is_reached() -> None:
    attempts = iter([httpx.ConnectError("refused"), httpx.ConnectTimeout("silent"), None])

    def listen(_: httpx.Request) -> httpx.Response:
        if failure := next(attempts):
            raise failure
        return httpx.Response(200, json={"status": "ready"})

    with httpx.Client(transport=httpx.MockTransport(listen)) as http:
        assert Client("http://gateway", http=http).ready()
