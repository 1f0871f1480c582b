"""What every gRPC call goes through: who calls, is there room, then the message; and errors as status codes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self
from urllib.parse import unquote

import grpc
from asgi_correlation_id import correlation_id

from serving.core.access import Access, Caller, credentials_in
from serving.core.admission import Admission
from serving.core.errors import (
    BodyTooLargeError,
    MalformedRequestError,
    OverloadedError,
    ServingError,
    UploadTimeoutError,
)
from serving.protocols.exchanges import ENDPOINTS, Exchange, Recorder, recorded
from serving.protocols.failure_log import log_failure
from serving.protocols.limits import BodyLimits
from serving.protocols.open_inference.grpc_tensors import parse
from serving.protocols.request_ids import safe_request_id
from serving.protocols.threads import SMALL_MESSAGE, run

CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    415: grpc.StatusCode.INVALID_ARGUMENT,
    422: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
"""The status code for each HTTP status of an error; INTERNAL for all others."""
INFER = "ModelInfer"
_LONGEST_DETAILS = 1000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A call whose message has been read.

    Attributes:
        request: The message.
        caller: Who calls.
        timeout: Seconds until the deadline of the call; None without one.
    """

    request: Any
    caller: Caller
    timeout: float | None


Method = Callable[[Call], Awaitable[bytes]]


class Calls:
    """Makes methods into handlers of gRPC's server."""

    def __init__(
        self, access: Access, admission: Admission, *, limits: BodyLimits, recorders: Sequence[Recorder] = ()
    ) -> None:
        """Keep what is asked before a message is read.

        Args:
            access: Finds out who calls.
            admission: Limits of all requests together.
            limits: Limits on each message; gRPC does not tell how fast a message arrives.
            recorders: Are called with each call when it has ended.
        """
        self._access = access
        self._recorders = recorders
        self._admission = admission
        self._limits = limits
        self._arriving: dict[_Life, str] = {}  # with the name of the caller, in the order in which they began

    def handler(self, name: str, kind: Any, method: Method, *, is_open: bool = False) -> grpc.RpcMethodHandler:
        """Return the handler of a method with one request and one response.

        Args:
            name: Name of the method.
            kind: Class of the request.
            method: Answers a call with a message.
            is_open: Whether anybody may call it, as with a health check, whose message says nothing and is not read: it
                is answered under any load, and holds nothing.
        """

        # as if the client streamed: else gRPC would read the message before it calls anything here
        async def handle(_: Any, context: grpc.aio.ServicerContext) -> bytes:
            # binary metadata have names that end in "-bin", and no method reads them
            metadata = [(key, value) for key, value in context.invocation_metadata() or () if isinstance(value, str)]
            request_id = safe_request_id(dict(metadata).get("x-request-id", ""))
            correlation_id.set(request_id)
            client = _address(context.peer())
            endpoint = ENDPOINTS["v2"] if name == INFER else ""
            exchange = Exchange(endpoint, "gRPC", name, client, header=dict(metadata).get)
            with recorded(exchange, self._recorders):
                try:
                    if is_open:
                        answer = await method(Call(kind(), Caller(client), None))
                    else:
                        caller = await self._access.identify(credentials_in(_encoded(metadata)), client)
                        exchange.caller = caller.name
                        self._access.spend_request(caller)
                        answer = await self._answer(kind, method, caller, context, exchange)
                    exchange.status, exchange.sent = 200, len(answer)
                    return answer
                except ServingError as error:
                    refusal = _Refusal.of(error)
                    exchange.fail(error)
                except Exception:  # a call is answered whatever happens
                    log.exception("cannot answer %s", name)
                    unexpected = ServingError("the request could not be answered; the server's log has the details")
                    refusal = _Refusal.of(unexpected)
                    exchange.fail(unexpected)
                finally:
                    exchange.answered = time.perf_counter()
            log_failure(exchange.status, client, f"gRPC {name}", refusal.details)
            await context.abort(refusal.code, refusal.details, (("x-request-id", request_id), *refusal.metadata))
            raise AssertionError("abort raises")

        return grpc.stream_unary_rpc_method_handler(handle)

    async def _answer(
        self, kind: Any, method: Method, caller: Caller, context: grpc.aio.ServicerContext, exchange: Exchange
    ) -> bytes:
        life = _Life(self._limits.seconds)
        place = self._admission.enter(caller, 0, life.give_up, context.time_remaining())
        try:
            self._make_room(caller)
            async with life.limited():
                self._arriving[life] = caller.name
                try:
                    message = await context.read()
                finally:
                    self._arriving.pop(life, None)
                life.has_message()
                if not isinstance(message, bytes):
                    raise MalformedRequestError("the call has no message")
                if len(message) > self._limits.max_bytes:
                    raise BodyTooLargeError(
                        f"a message may have {self._limits.max_bytes} bytes; got {len(message)} bytes"
                    )
                exchange.uploaded, exchange.received = time.perf_counter(), len(message)
                place.grow_to(len(message))
                place.run()
                self._access.spend_bytes(caller, len(message))
                request = await run(lambda: parse(message, kind), is_small=len(message) <= SMALL_MESSAGE)
                return await method(Call(request, caller, context.time_remaining()))
        finally:
            place.leave()

    def _make_room(self, caller: Caller) -> None:
        """Let one more message arrive; if there are too many, the caller with the most loses its newest to others.

        gRPC holds messages that arrive, and tells neither their number nor their size.

        Raises:
            OverloadedError: There are too many, and no other caller has more of them than this caller would have.
        """
        if len(self._arriving) < self._admission.max_requests:
            return
        numbers = Counter(self._arriving.values())
        ((greediest, most),) = numbers.most_common(1)
        if most <= numbers[caller.name] + 1:
            raise OverloadedError(f"{len(self._arriving)} messages are arriving; try again", reason="pending")
        newest = next(life for life in reversed(self._arriving) if self._arriving[life] == greediest)
        del self._arriving[newest]
        newest.give_up()


class _Life:
    """How long a call may go on: its message must arrive in time, and another caller may need its place."""

    def __init__(self, upload_seconds: float) -> None:
        self._upload_seconds = upload_seconds
        self._timeout = asyncio.timeout(upload_seconds)
        self._is_arriving = True
        self._has_given_up = False

    @asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """End what is done inside when its time has passed."""
        try:
            async with self._timeout:
                yield
        except TimeoutError:
            if self._has_given_up:
                raise OverloadedError(
                    "another client needs the place that this call takes; try again", reason="fairness"
                ) from None
            if self._is_arriving:
                raise UploadTimeoutError(f"the message did not arrive within {self._upload_seconds:g} s") from None
            raise

    def has_message(self) -> None:
        """Set no further limit of its own: the work has a deadline."""
        self._is_arriving = False
        self._timeout.reschedule(None)

    def give_up(self) -> None:
        """End, because another caller needs the memory or the place."""
        self._has_given_up = True
        self._timeout.reschedule(0.0)


def _encoded(metadata: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Return metadata as the headers of an HTTP request."""
    return [(name.encode(), value.encode()) for name, value in metadata]


class _Refusal(NamedTuple):
    """What a client is told of an error. The error itself would keep the message in memory, by its traceback."""

    code: grpc.StatusCode
    details: str
    metadata: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, error: ServingError) -> Self:
        """Describe an error, with when to try again, for a person and for gRPC's own retries."""
        metadata = [("problem-type", f"urn:keras-archs:problem:{error.slug}")]
        if error.retry_after is not None:
            metadata += [
                ("retry-after", str(error.retry_after)),
                ("grpc-retry-pushback-ms", str(1000 * error.retry_after)),
            ]
        code = CODES.get(error.status, grpc.StatusCode.INTERNAL)
        return cls(code, str(error)[:_LONGEST_DETAILS], tuple(metadata))


def _address(peer: str) -> str:
    """Return the network address of gRPC's notation, e.g. of "ipv4:192.0.2.1:5000" or "ipv6:%5B::1%5D:5000"."""
    _, _, address = unquote(peer).partition(":")
    return address.rpartition(":")[0].strip("[]")
