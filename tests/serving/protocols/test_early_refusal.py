"""Requests refused at their headers get the application's own answer; all that needs more than limits goes to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Scope

from serving.app import create_app
from serving.core.access import Access, Caller
from serving.core.admission import Admission
from serving.protocols import failure_log
from serving.protocols.early_refusal import EarlyRefusal
from serving.protocols.exchanges import Exchange
from serving.protocols.limits import CHEAP_BYTES
from serving.settings import Settings

KEY = "a known key"
PATHS = ["/classify/net", "/explain/net", "/v1/models/net:predict", "/v2/models/net/infer", "/anything"]
OF_ONE_ANSWER = {"x-request-id", "content-length", "date"}


class Known:
    """Credentials of which one is known."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def known(self, credential: str) -> Caller | None:
        return self.caller if credential == KEY else None


class Recorded:
    """Keeps the exchanges."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []

    def begin(self, exchange: Exchange) -> None:
        pass

    def end(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)


def scope(path: str = "/classify/net", length: bytes | None = b"9", query: bytes = b"", **headers: str) -> Scope:
    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    given += [] if length is None else [(b"content-length", length)]
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": query,
        "headers": given,
        "client": ("192.0.2.1", 5),
        "state": {},
    }


def full() -> Admission:
    return Admission(max_requests=0, max_bytes=10**6)


def parsed(answer: bytes | None) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and document of a whole answer."""
    assert answer is not None
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert int(headers["content-length"]) == len(body)
    return int(status.split()[1]), headers, json.loads(body)


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Settings(repository=tmp_path_factory.mktemp("models"), max_pending=1))


@pytest.mark.parametrize("path", PATHS)
def test_the_answer_is_the_one_that_the_application_gives(application: FastAPI, path: str) -> None:
    application.state.admission.max_requests = 0

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(application, client=("192.0.2.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.post(path, content=b"9 letters", headers={"X-Request-ID": "chosen"})

    expected = asyncio.run(asked())
    status, headers, document = parsed(application.state.refuse_early(scope(path, x_request_id="chosen")))
    assert (status, document) == (expected.status_code, expected.json())
    assert headers == dict(expected.headers)


def test_a_request_without_a_usable_id_gets_a_new_id(application: FastAPI) -> None:
    application.state.admission.max_requests = 0
    for given in (scope(), scope(x_request_id="two words")):
        _, headers, document = parsed(application.state.refuse_early(given))
        assert headers["x-request-id"] == document["request_id"]
        assert len(document["request_id"]) == 32


def test_equal_refusals_differ_in_their_ids_alone(application: FastAPI) -> None:
    application.state.admission.max_requests = 0
    answers = [parsed(application.state.refuse_early(scope(x_request_id=given))) for given in ("a", "a-longer-id")]
    for (_, headers, document), given in zip(answers, ("a", "a-longer-id"), strict=True):
        assert headers.pop("x-request-id") == document.pop("request_id") == given
        del headers["content-length"]  # which `parsed` has compared with the body
    assert answers[0] == answers[1]


def test_each_refusal_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(failure_log, "_allowances", {})  # of which earlier tests may have used much
    refusal = EarlyRefusal(Access(), full(), [])
    for _ in range(3):
        refusal.answer(scope())
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "503 to 192.0.2.1 for POST /classify/net"
    ] * 3


def test_a_refusal_is_recorded_as_every_exchange() -> None:
    recorded = Recorded()
    EarlyRefusal(Access(), full(), [recorded]).answer(scope("/v1/models/net:predict"))
    (exchange,) = recorded.exchanges
    assert (exchange.endpoint, exchange.model, exchange.caller) == ("tensorflow-rest", "net", "192.0.2.1")
    assert (exchange.status, exchange.problem, exchange.reason) == (503, "overloaded", "pending")
    assert exchange.sent > 0
    assert exchange.ended is not None


def test_nothing_is_refused_while_there_is_room() -> None:
    admission = Admission(max_requests=1, max_bytes=10**6)
    assert EarlyRefusal(Access(), admission, []).answer(scope()) is None


@pytest.mark.parametrize(
    "given",
    [
        scope(length=None),
        scope(length=b"0"),
        scope(length=b"%d" % (CHEAP_BYTES + 1)),
        scope(length=b"many"),
        scope(length=b"9" * 30),
        scope(expect="100-continue"),
        scope(origin="https://elsewhere.example"),
        scope(transfer_encoding="chunked"),
    ],
    ids=["no length", "no body", "a large body", "no number", "an endless number", "expect", "origin", "chunked"],
)
def test_a_request_whose_answer_depends_on_more_than_limits_is_the_applications(given: Scope) -> None:
    assert EarlyRefusal(Access(), full(), []).answer(given) is None


@pytest.mark.parametrize(
    ("caller", "headers", "is_refused"),
    [
        (Caller("team"), {"x_api_key": KEY}, True),
        (Caller("team"), {"authorization": f"Bearer {KEY}"}, True),
        (Caller("team"), {}, False),
        (Caller("team"), {"x_api_key": "unknown"}, False),
        (Caller("team"), {"x_api_key": KEY, "authorization": f"Bearer {KEY}"}, False),
        (Caller("team", requests_per_minute=5), {"x_api_key": KEY}, False),
        (Caller("team", bytes_per_minute=5), {"x_api_key": KEY}, False),
    ],
)
def test_only_callers_who_are_known_and_unlimited_are_refused_early(
    caller: Caller, headers: dict[str, Any], is_refused: bool
) -> None:
    access = Access([Known(caller)])  # type: ignore[list-item]
    recorded = Recorded()
    answer = EarlyRefusal(access, full(), [recorded]).answer(scope(**headers))
    assert (answer is not None) == is_refused
    assert [exchange.caller for exchange in recorded.exchanges] == ["team"] * is_refused


@pytest.mark.parametrize(
    ("trusted", "forwarded", "client"),
    [
        ((), "198.51.100.7", "192.0.2.1"),
        (("192.0.2.1",), "198.51.100.7", "198.51.100.7"),
        (("192.0.2.0/24",), "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (("203.0.113.9",), "198.51.100.7", "192.0.2.1"),
    ],
)
def test_behind_a_trusted_proxy_the_caller_is_its_client(trusted: Sequence[str], forwarded: str, client: str) -> None:
    recorded = Recorded()
    EarlyRefusal(Access(), full(), [recorded], trusted).answer(scope(x_forwarded_for=forwarded))
    assert [exchange.caller for exchange in recorded.exchanges] == [client]


@pytest.mark.parametrize(
    ("query", "is_refused"), [(b"timeout=0.01", True), (b"top_k=1&timeout=5", False), (b"", False)]
)
def test_a_deadline_in_the_query_counts(query: bytes, is_refused: bool, tmp_path: Path) -> None:
    app = create_app(Settings(repository=tmp_path, request_timeout=10))
    with app.state.service.backlog.entry(Caller("another"), "net", 4):  # 0.08 s of work, before anything is known
        assert (app.state.refuse_early(scope(query=query)) is not None) == is_refused
