"""HTTP connections with limits: uvicorn's protocol, bounded in bytes, in time and in number.

A client that exceeds a limit gets a problem document where it can still read an answer, and its connection is closed.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import socket
import time
import urllib.parse
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from serving.core import errors
from serving.protocols.open_connections import OpenConnections
from serving.protocols.problems import connection_problem
from serving.protocols.refusal_pace import RefusalPace
from serving.protocols.request_ids import new_request_id

MAX_URL_BYTES = 8 * 1024
MAX_HEAD_BYTES = 32 * 1024
MAX_HEADERS = 100
MAX_PIPELINED = 8

_ANSWER_START = b"HTTP/1.1 "
_DROPPED_SECONDS = 2.0  # in which a client may send the rest of a body that nobody reads
_DROPPED_BYTES = 16 * 1024 * 1024  # of such a rest
_RESET_SECONDS = 0.2  # in which the machine of a client that has left usually says so
_HEAD_TOO_LARGE = f"the headers of a request may have {MAX_HEAD_BYTES} bytes; got more"


@dataclass
class ConnectionLimits:
    """Limits on the connections of a server; they may change at any time.

    Attributes:
        connections: Largest number of open connections. A further connection replaces the longest idle connection of
            the address that has the most.
        head_seconds: Seconds from the connection, or from the previous answer, to the end of a request's headers.
        answer_seconds: Seconds in which a client must read an answer.
        is_draining: Whether the server will stop soon, so that each answer closes its connection.
        on_refusal: Is told why a connection was closed before its request reached the application.
        refuse_early: Returns the whole answer to a request with a body that is refused at its headers, given ASGI's
            scope; None if the application is to be asked.
        refusal_pace: How long a connection whose request was refused at its headers is not read.
        open: The connections that are open.
    """

    connections: int
    head_seconds: float
    answer_seconds: float
    is_draining: bool = False
    on_refusal: Callable[[errors.ServingError], None] = lambda _: None
    refuse_early: Callable[[Scope], bytes | None] = lambda _: None
    refusal_pace: RefusalPace = field(default_factory=RefusalPace)
    open: OpenConnections[LimitedConnection] = field(default_factory=OpenConnections)


class LimitedConnection(HttpToolsProtocol):
    """A connection that a client can neither fill nor keep open without end.

    Times are checked by `check`, which the server calls for every connection once a second: no request starts a timer.
    """

    def __init__(self, *args: Any, limits: ConnectionLimits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits
        self._head_bytes = 0  # of a request whose headers, or trailers, are incomplete
        self._field_bytes = 0  # of the names and values among them
        self._waiting_since: float | None = None  # for the headers of a request
        self._unread_since: float | None = None  # when a client stopped to read
        self._half_closed = False
        self._is_refused = False  # the request whose body arrives
        self._may_drop: int | None = None  # bytes, once the rest of a body is dropped
        self._answering: RequestResponseCycle | None = None  # unlike `cycle`, which may be a queued request
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Address of the client, empty if unknown."""
        return self.client[0] if self.client else ""

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection; above the limit, an idle connection gives way, else an upload, else this connection."""
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections and not self._make_way():
            self._refuse(self._too_many())
        self._limits.open.add(self)
        self._waiting_since = time.monotonic()

    def check(self) -> None:
        """Close the connection if its client exceeds a limit on time, or has left."""
        if self not in self.connections:
            return
        now = time.monotonic()
        if self.transport.get_write_buffer_size() == 0:
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self._limits.answer_seconds:
            self.transport.abort()
            return
        if self._half_closed and self._is_reset():
            self.transport.abort()
        elif (
            self._waiting_since is not None
            and now - self._waiting_since > self._limits.head_seconds
            and not self.transport.is_closing()
        ):
            if self._head_bytes:
                self._refuse(errors.HeadersTimeoutError("the headers did not arrive in time"))
            else:
                self.transport.close()

    def data_received(self, data: bytes) -> None:
        """Parse what has arrived. The callbacks below set `_head_bytes` to 0 where it belongs to no headers."""
        if self._may_drop is not None:
            self._may_drop -= len(data)
            if self._may_drop < 0:
                self.transport.close()
            return
        if self._is_answering and not self.cycle.keep_alive and not self.cycle.more_body:
            return  # the connection closes after the answer, so these bytes belong to no request
        self._unset_keepalive_if_required()
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
            self._check_head()
        except httptools.HttpParserUpgrade:
            pass  # answered without the upgrade, which a server may ignore (RFC 9110, section 7.8)
        except httptools.HttpParserError as error:
            cause = error.__context__  # what a callback below has raised
            not_http = errors.MalformedRequestError("this is not a valid HTTP/1.1 request")
            self._refuse(cause if isinstance(cause, errors.ServingError) else not_http)
        except errors.ServingError as error:
            self._refuse(error)

    def on_url(self, url: bytes) -> None:
        """Take a part of the request's target."""
        super().on_url(url)
        if len(self.url) > MAX_URL_BYTES:
            raise errors.UrlTooLongError(f"a path with its query may have {MAX_URL_BYTES} bytes; got more")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, or one trailer."""
        super().on_header(name, value)
        if len(self.headers) > MAX_HEADERS:
            raise errors.HeadersTooLargeError(f"a request may have {MAX_HEADERS} headers; got more")
        self._field_bytes += len(name) + len(value)
        if self._field_bytes > MAX_HEAD_BYTES:
            raise errors.HeadersTooLargeError(_HEAD_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Start to answer the request, or queue it."""
        if len(self.pipeline) >= MAX_PIPELINED:
            raise errors.OverloadedError(f"a connection may have {MAX_PIPELINED} unanswered requests; got more")
        self._head_bytes = self._field_bytes = 0
        if refusal := self._refusal():
            self._is_refused = True
            self.transport.write(refusal)
            return
        self._waiting_since = None
        self._limits.open.uploading(self)
        super().on_headers_complete()
        closing = functools.partial(self._close_after_answer, weakref.proxy(self.cycle))
        self.cycle.transport = cast(asyncio.Transport, _ClosedBy(self.transport, closing))
        if self._limits.is_draining:
            self.cycle.keep_alive = False
        self.headers = self.headers.copy()  # to which the parser adds trailers, which the application must not see

    def on_body(self, body: bytes) -> None:
        """Take a part of the request's body."""
        self._head_bytes = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Go on reading while the request is answered, because a client's leaving is seen by reading."""
        self._head_bytes = self._field_bytes = 0
        if self._is_refused:
            self._is_refused = False
            self._wait()
            self._rest(self._limits.refusal_pace.rest())
            return
        if self._waiting_since is None:
            self._limits.open.busy(self)
        super().on_message_complete()
        if not self.pipeline:
            self.flow.resume_reading()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        if not self._is_answering and not self.transport.is_closing():
            self._wait()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """Answer a client that has closed only its own direction of the connection.

        A client that has left looks the same until it is sent something: it then resets the connection. So the first
        bytes of the answer, which are the same for every status, are sent at once. asyncio's TLS has no connections
        that are closed in one direction only.
        """
        if not self._is_answering or self.cycle.more_body or self.scheme == "https":
            return None
        self.cycle.keep_alive = False
        if not self.pipeline and not self.cycle.response_started:
            self._half_closed = True
            self.transport.write(_ANSWER_START)
            self.cycle.transport = cast(asyncio.Transport, _StartedAnswer(self.transport))
            self.loop.call_later(_RESET_SECONDS, self.check)
        return True

    def shutdown(self) -> None:
        """Close the connection, after the answer to a request that has arrived at least in part."""
        if self._waiting_since is None or not self._head_bytes:
            super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to work for a client that has left."""
        super().connection_lost(exc)
        self._limits.open.remove(self)
        if self._answering is not None and self._task is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._task.cancel()
        # they refer to this connection, and together they would wait for the garbage collector
        self.cycle = self._answering = None  # type: ignore[assignment]

    def _wait(self) -> None:
        """Wait for the headers of the next request."""
        self._waiting_since = time.monotonic()
        self._limits.open.idle(self)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        self._task = self.loop.create_task(cycle.run_asgi(functools.partial(_run, app, cycle)))
        self._task.add_done_callback(self.tasks.discard)
        self.tasks.add(self._task)

    def _close_after_answer(self, cycle: RequestResponseCycle) -> None:
        """Close the connection; while the request's body arrives, close one direction, and drop what arrives.

        The client's machine would otherwise be told to forget the connection, and with it the answer that says why.
        """
        if not cycle.more_body or self.transport.is_closing():
            self.transport.close()
            return
        self._may_drop = _DROPPED_BYTES
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_DROPPED_SECONDS, self.transport.close)

    def _refusal(self) -> bytes | None:
        """Return the answer to a request that is refused at its headers, if it is the only request of the connection.

        The body, which is small, is read and dropped, and the connection goes on.
        """
        if (
            self.parser.get_method() != b"POST"
            or not self.parser.should_keep_alive()
            or self.parser.should_upgrade()
            or self._limits.is_draining
            or self._is_answering
        ):
            return None
        url = httptools.parse_url(self.url)
        path = urllib.parse.unquote(url.path.decode("ascii"))
        scope = {**self.scope, "method": "POST", "path": path, "query_string": url.query or b""}
        return self._limits.refuse_early(scope)

    def _rest(self, seconds: float) -> None:
        """Do not read the next request for a while."""
        if seconds > 0:
            self.flow.pause_reading()
            self.loop.call_later(seconds, self._read_on)

    def _read_on(self) -> None:
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def _check_head(self) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:
            raise errors.HeadersTooLargeError(_HEAD_TOO_LARGE)

    def _is_reset(self) -> bool:
        connection = self.transport.get_extra_info("socket")
        return bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _too_many(self) -> errors.OverloadedError:
        return errors.OverloadedError(
            f"{self._limits.connections} connections are busy; try again", reason="connections"
        )

    def _make_way(self) -> bool:
        """Close a connection for this one, if any can give way."""
        while (other := self._limits.open.take()) is not None:
            if not other.transport.is_closing():
                other._give_way()
                return True
        return False

    def _give_way(self) -> None:
        """Close this connection for another."""
        if self._waiting_since is not None:
            self.transport.close()
        else:
            self._refuse(self._too_many())

    def _refuse(self, error: errors.ServingError) -> None:
        """Close the connection; send a problem document, unless it could be taken for another request's answer."""
        self._limits.on_refusal(error)
        request_id = new_request_id()
        headers, content = contextvars.copy_context().run(connection_problem, error, self.address, request_id)
        if self._is_answering:
            own_body_is_at_fault = self.cycle.more_body and not self.cycle.response_started and not self.pipeline
            self.cycle.disconnected = True
            if not own_body_is_at_fault:
                self.transport.close()
                return
        headers["Content-Length"] = str(len(content))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[error.status] + lines.encode() + b"\r\n" + content)
        self.transport.close()


async def _run(app: Any, cycle: RequestResponseCycle, *arguments: Any) -> None:
    """Run the application; a cancellation because the client has left is no error."""
    try:
        await app(*arguments)
    except asyncio.CancelledError:
        if not cycle.disconnected:
            raise


class _ClosedBy:
    """A transport that a function closes."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self._transport = transport
        self.close = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _StartedAnswer:
    """A transport to which `_ANSWER_START` has been written already."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._is_first = True

    def write(self, data: bytes) -> None:
        self._transport.write(data.removeprefix(_ANSWER_START) if self._is_first else data)
        self._is_first = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
