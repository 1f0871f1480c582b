"""Refusals come before the application and its routes, cost the connection only if much of a body is left, and end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from serving.core.access import Access, Caller
from serving.core.admission import Admission
from serving.core.errors import UploadTimeoutError
from serving.protocols import limits
from serving.protocols.limits import CHEAP_BYTES, BodyLimit, BodyLimits
from tests.support.garbage import cyclic_garbage


class Application:
    """Reads each body, and answers it when `may_answer` is set.

    Attributes:
        begun: Number of requests that came this far.
        cancelled: Number of requests that were given up.
    """

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.begun = 0
        self.cancelled = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            pass
        try:
            await self.may_answer.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"answered"})


class Gateway:
    """The middleware around an application.

    Attributes:
        app: The application.
        admission: Room for one request.
    """

    def __init__(self, **body: Any) -> None:
        self.app = Application()
        self.admission = Admission(max_requests=1, max_bytes=10**7)
        bodies = BodyLimits(**({"max_bytes": 10**6, "seconds": 60, "least_rate": 1} | body))
        self._middleware = BodyLimit(self.app, access=Access(), admission=self.admission, limits=bodies)

    async def ask(
        self,
        caller: str = "a",
        path: str = "/classify/net",
        *,
        method: str = "POST",
        length: int = 10,
        receive: Callable[[], Awaitable[Message]] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and content of the answer."""
        sent: list[Message] = []

        async def body() -> Message:
            return {"type": "http.request", "body": bytes(length), "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "client": (caller, 1),
            "headers": [(b"content-length", b"%d" % length)] if method == "POST" else [],
            "state": {"caller": Caller(caller)},
        }
        await self._middleware(scope, receive or body, send)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        content = sent[1]["body"]
        return sent[0]["status"], headers, json.loads(content) if content[:1] == b"{" else content

    async def begins(self, number: int) -> None:
        """Wait until the application has begun with this many requests, and their bodies have arrived."""
        while self.app.begun < number or self.admission.uploading:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0)


def run(scenario: Callable[[Gateway], Awaitable[None]], **body: Any) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await scenario(Gateway(**body))

    asyncio.run(within())


def test_an_overloaded_gateway_refuses_before_the_application_is_asked() -> None:
    async def scenario(gateway: Gateway) -> None:
        first = asyncio.create_task(gateway.ask())
        await gateway.begins(1)
        status, headers, problem = await gateway.ask()
        assert (status, problem["type"], problem["instance"]) == (
            503,
            "urn:keras-archs:problem:overloaded",
            "/classify/net",
        )
        assert headers["retry-after"] == "1"
        assert gateway.app.begun == 1
        gateway.app.may_answer.set()
        assert (await first)[0] == 200
        assert (await gateway.ask())[0] == 200

    run(scenario)


def test_a_refusal_is_in_the_words_of_the_protocol() -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.admission.max_requests = 0
        for path in ("/v1/models/net:predict", "/v2/models/net/infer"):
            status, headers, content = await gateway.ask(path=path)
            assert (status, headers["retry-after"]) == (503, "1")
            assert content == {"error": "0 requests are waiting or running; try again"}

    run(scenario)


@pytest.mark.parametrize(("length", "closes"), [(CHEAP_BYTES, False), (CHEAP_BYTES + 1, True)])
def test_a_refusal_closes_the_connection_only_if_much_of_the_body_is_left(length: int, closes: bool) -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.admission.max_requests = 0
        _, headers, _ = await gateway.ask(length=length)
        assert (headers.get("connection") == "close") == closes

    run(scenario)


def test_requests_without_a_body_are_answered_whatever_the_load() -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.admission.max_requests = 0
        gateway.app.may_answer.set()
        assert (await gateway.ask(path="/readyz", method="GET"))[0] == 200

    run(scenario)


def test_a_request_that_gives_its_place_to_another_caller_ends_with_503() -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.admission.max_requests = 2
        greedy = [asyncio.create_task(gateway.ask("greedy")) for _ in range(2)]
        await gateway.begins(2)
        modest = asyncio.create_task(gateway.ask("modest"))
        status, _, problem = await greedy[1]
        assert (status, problem["type"]) == (503, "urn:keras-archs:problem:overloaded")
        assert gateway.app.cancelled == 1
        gateway.app.may_answer.set()
        assert [(await task)[0] for task in (greedy[0], modest)] == [200, 200]
        assert gateway.admission.running == 0

    run(scenario)


def test_a_body_below_the_least_rate_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FIRST_SECONDS", 0.01)

    async def drip() -> Message:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b"x", "more_body": True}

    async def scenario(gateway: Gateway) -> None:
        with pytest.raises(UploadTimeoutError, match="at 1000 bytes a second or more"):
            await gateway.ask(receive=drip)

    run(scenario, least_rate=1000)


def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    async def scenario(gateway: Gateway) -> None:
        gateway.admission.max_requests = 1
        greedy = asyncio.create_task(gateway.ask("greedy"))
        await gateway.begins(1)
        assert (await gateway.ask("greedy"))[0] == 503
        gateway.admission.max_requests = 2
        other = asyncio.create_task(gateway.ask("greedy"))
        await gateway.begins(2)
        modest = asyncio.create_task(gateway.ask("modest"))
        assert (await other)[0] == 503  # gives its place to the modest client
        gateway.app.may_answer.set()
        assert [(await task)[0] for task in (greedy, modest)] == [200, 200]

    with cyclic_garbage("serving") as garbage:
        run(scenario)
    assert not garbage
