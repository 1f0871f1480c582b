"""What became of a request, by kind."""

from __future__ import annotations

import asyncio
import socket

import pytest

from keras_archs.loadtest.requests import LoadRequest
from keras_archs.loadtest.sender import Outcome, Sender
from tests.support.scripted_server import Received, Scripted, answer, problem, scripted_server

REQUEST = LoadRequest("/classify/tiny?timeout=1", {"Content-Type": "image/jpeg"}, b"image")


def send(url: str, times: int = 1, *, connections: int = 4, timeout: float = 20) -> list[Outcome]:
    async def main() -> list[Outcome]:
        sender = Sender(url, key="secret", timeout=timeout, connections=connections)
        try:
            return list(await asyncio.gather(*(sender.send(REQUEST) for _ in range(times))))
        finally:
            await sender.close()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (answer({"images": []}), None),
        (problem(503, "overloaded", Retry_After="1"), "overloaded"),
        (answer({"error": "the server is busy"}, 503), "status 503"),
        (answer(b"<html>", Content_Type="text/html"), "another server"),
        (answer(b"", 302, Location="/login"), "status 302"),
        (answer(b"half", length=100), "broken connection"),
        (Scripted(b"nonsense\r\n\r\n", closes=True), "broken connection"),
        (Scripted(closes=True), "broken connection"),
    ],
)
def test_a_failure_has_a_kind(step: Scripted, error: str | None) -> None:
    with scripted_server(step) as server:
        assert [outcome.error for outcome in send(server.url)] == [error]


def test_what_the_server_says_is_kept() -> None:
    with scripted_server(answer({"error": "the server is busy"}, 503)) as server:
        assert "the server is busy" in send(server.url)[0].detail
    with scripted_server(answer({}, Server_Timing="decode;dur=1.5")) as server:
        assert send(server.url) == [Outcome(phases={"decode": 0.0015}, received=2)]


def test_a_server_that_hangs_is_given_up() -> None:
    with scripted_server(Scripted(hangs=True)) as server:
        assert send(server.url, timeout=0.1)[0].error == "no answer in time"


def test_a_server_that_is_not_there_is_no_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    assert send(f"http://127.0.0.1:{port}")[0].error == "no connection"


def test_requests_are_complete() -> None:
    with scripted_server(answer({})) as server:
        send(f"{server.url}/below/")
    (received,) = server.received
    assert received == Received(
        "POST",
        "/below/classify/tiny",
        {"timeout": "1"},
        {
            "host": server.url.removeprefix("http://"),
            "authorization": "Bearer secret",
            "content-type": "image/jpeg",
            "content-length": "5",
        },
        b"image",
    )


def test_an_international_name_is_sent_as_its_ascii_form(monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *args, **options: addresses("127.0.0.1", *args, **options))
    with scripted_server(answer({})) as server:
        (outcome,) = send(server.url.replace("127.0.0.1", "bücher.example"))
    assert outcome.error is None
    assert server.received[0].headers["host"].startswith("xn--bcher-kva.example:")


def test_connections_are_used_again_and_bounded() -> None:
    with scripted_server(answer({})) as server:
        outcomes = send(server.url, 40, connections=3)
    assert [outcome.error for outcome in outcomes] == [None] * 40
    assert server.connections <= 3


def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    async def main(url: str) -> list[str | None]:
        sender = Sender(url, key=None, timeout=20, connections=1)
        errors = []
        for _ in range(3):
            errors.append((await sender.send(REQUEST)).error)
            await asyncio.sleep(0.05)  # the end of the connection arrives
        await sender.close()
        return errors

    closing = Scripted(answer({}).content, closes=True)
    with scripted_server(closing) as server:
        assert asyncio.run(main(server.url)) == [None] * 3
    assert server.connections == 3
