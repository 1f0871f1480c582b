"""Each request with its answer as one record, for the metrics and the log lines of every protocol."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.access import Caller
from serving.core.errors import CLIENT_CLOSED_REQUEST, ServingError
from serving.core.observer import Work
from serving.core.repository import ModelSpec

ENDPOINTS: Final = {"classify": "classify", "explain": "explain", "v1": "tensorflow-rest", "v2": "open-inference"}
"""Endpoints of requests to a model, by the first part of their path."""


@dataclass(eq=False)
class Exchange:
    """A request and its answer, filled in while the request is handled.

    Attributes:
        endpoint: Endpoint of requests to a model, such as "classify"; empty for all other requests.
        method: HTTP method, or name of the protocol.
        path: Path without the query, or name of the called method.
        client: Network address of the client.
        header: Returns the value of one of the request's headers, by its name in lower case; None if it is not there.
        caller: Name of who asks; empty until it is known.
        model: Name of the model that is asked for, which may be unknown; empty if none is.
        work: What the version that answers has done; None until a version was found.
        status: HTTP status, or the HTTP status for the same error; 499 unless there is an answer.
        problem: Last part of the problem's `type`; empty for a success.
        reason: Which limit was reached; empty for other problems.
        received: Bytes of the request's body.
        sent: Bytes of the answer's body.
        started: Seconds of `time.perf_counter` when the headers had arrived.
        uploaded: The same for the end of the request's body; None until it has arrived.
        answered: The same for the start of the answer; None until then.
        ended: The same for the end of the answer; None until then.
    """

    endpoint: str
    method: str
    path: str
    client: str
    header: Callable[[str], str | None] = lambda _: None
    caller: str = ""
    model: str = ""
    work: Work | None = None
    status: int = CLIENT_CLOSED_REQUEST
    problem: str = ""
    reason: str = ""
    received: int = 0
    sent: int = 0
    started: float = 0.0
    uploaded: float | None = None
    answered: float | None = None
    ended: float | None = None

    def fail(self, error: ServingError) -> None:
        """Take status, problem and reason from an error."""
        self.status, self.problem, self.reason = error.status, error.slug, error.reason


_MODEL: Final = re.compile(r"/(?P<first>classify|explain|v[12](?=/models))(?:/models)?/(?P<model>[^/:]+)")


class Recorder(Protocol):
    """Records exchanges. The methods run in the context of the request, and must be fast."""

    def begin(self, exchange: Exchange) -> None:
        """Take note of a request whose headers have arrived."""

    def end(self, exchange: Exchange) -> None:
        """Record an exchange that has ended."""


_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


def current_exchange() -> Exchange | None:
    """Return the exchange to which this code belongs; None outside of requests."""
    return _current.get()


def note_caller(caller: Caller) -> None:
    """Note who sends the current request."""
    if exchange := _current.get():
        exchange.caller = caller.name


def exchange_of(scope: Scope) -> Exchange:
    """Return the exchange of an HTTP request, with the model that its path names."""
    client, *_ = scope.get("client") or ("",)
    found = _MODEL.match(scope["path"])
    return Exchange(
        endpoint=ENDPOINTS[found["first"]] if found and scope["method"] == "POST" else "",
        method=scope["method"],
        path=scope["path"],
        client=client,
        header=functools.partial(_header, scope),
        model=found["model"] if found else "",
    )


@contextmanager
def recorded(exchange: Exchange, recorders: Sequence[Recorder]) -> Iterator[None]:
    """Make an exchange the current exchange, and record it.

    It stays the current exchange of its task, because the server logs an unexpected error still later.
    """
    exchange.started = time.perf_counter()
    _current.set(exchange)
    for recorder in recorders:
        recorder.begin(exchange)
    try:
        yield
    except Exception:
        exchange.fail(ServingError())
        raise
    finally:
        exchange.ended = time.perf_counter()
        for recorder in reversed(recorders):
            recorder.end(exchange)


class ExchangeObserver:
    """Adds what the service does to the current exchange."""

    def asked(self, spec: ModelSpec, caller: Caller) -> None:
        """Note the model; who asks is known already."""
        if exchange := _current.get():
            exchange.model = spec.name

    def begin(self, work: Work) -> None:
        """Note the work, which goes on."""
        if exchange := _current.get():
            exchange.work = work

    def end(self, work: Work) -> None:
        """Do nothing: the exchange has the work already."""


class RecordExchanges:
    """Records each HTTP request with its answer."""

    def __init__(self, app: ASGIApp, *, recorders: Sequence[Recorder]) -> None:
        """Wrap `app`.

        Args:
            app: Application whose requests are recorded.
            recorders: Record each exchange.
        """
        self._app = app
        self._recorders = recorders

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        exchange = exchange_of(scope)

        async def recording_receive() -> Message:
            message = await receive()
            if exchange.uploaded is None and message["type"] == "http.request":
                exchange.received += len(message.get("body", b""))
                if not message.get("more_body", False):
                    exchange.uploaded = time.perf_counter()
            return message

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.answered, exchange.status = time.perf_counter(), message["status"]
                exchange.problem, exchange.reason = state.get("problem", ""), state.get("reason", "")
            else:
                exchange.sent += len(message.get("body", b""))
            await send(message)

        with recorded(exchange, self._recorders):
            await self._app(scope, recording_receive, recording_send)


def _header(scope: Scope, name: str) -> str | None:
    encoded = name.encode()
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == encoded), None)
