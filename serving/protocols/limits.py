"""Limits on requests, enforced before and while a body arrives: on bytes, on time, and on all requests together."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.access import Access
from serving.core.admission import Admission, Place
from serving.core.errors import BodyTooLargeError, OverloadedError, RateLimitedError, UploadTimeoutError
from serving.protocols.access import caller_of
from serving.protocols.problems import response_to

CHEAP_BYTES: Final = 1 << 18
"""Body that is received and dropped after a refusal, because a new connection would cost more."""
FIRST_SECONDS: Final = 20.0
"""Seconds in which a body may be slower than the least rate, as it is when a phone looks for its network."""
_TIMEOUT: Final = re.compile(rb"(?:^|&)timeout=([^&]*)")


@dataclass
class BodyLimits:
    """Limits on one body; they may change at any time.

    Attributes:
        max_bytes: Size of the largest body.
        seconds: Seconds from the request's headers to the last byte of the body.
        least_rate: Bytes per second that must have arrived on average, after the first `FIRST_SECONDS`.
    """

    max_bytes: int
    seconds: float
    least_rate: float


class BodyLimit:
    """Admits requests, and raises from `receive` as soon as a body exceeds a limit.

    A request that cannot be answered in time is refused before the application sees it, because refusals must be cheap
    when the gateway has too much to do. It is admitted when its body is asked for: requests whose body nobody reads,
    such as health checks, need no admission. After an error the rest of a large body is not read: the answer closes the
    connection.
    """

    def __init__(self, app: ASGIApp, *, access: Access, admission: Admission, limits: BodyLimits) -> None:
        """Wrap `app`.

        Args:
            app: Application that converts the errors to responses.
            access: Counts the bytes that each caller sends.
            admission: Limits of all requests together.
            limits: Limits on each body.
        """
        self._app = app
        self._access = access
        self._admission = admission
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = _Upload(self._access, self._admission, self._limits, scope, receive)
        has_started = False

        async def closing_send(message: Message) -> None:
            nonlocal has_started
            if message["type"] == "http.response.start":
                has_started = True
                if upload.is_refused:
                    MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            if scope["method"] == "POST":
                upload.check()
            async with asyncio.timeout(None) as upload.life:
                await self._app(scope, upload.receive, closing_send)
        except OverloadedError as error:
            await response_to(Request(scope), error)(scope, receive, closing_send)
        except TimeoutError:
            if has_started or not upload.has_given_up:
                raise
            await response_to(Request(scope), upload.given_up())(scope, receive, closing_send)
        finally:
            upload.leave()


class _Upload:
    """The body of one request while it arrives.

    Attributes:
        is_refused: Whether the body exceeded a limit, so that the rest of it is not read.
        has_given_up: Whether another caller needs what the request holds.
        life: Ends the application's work on the request when it gives up; None until the application works.
    """

    def __init__(
        self, access: Access, admission: Admission, limits: BodyLimits, scope: Scope, receive: Receive
    ) -> None:
        self.is_refused = False
        self.has_given_up = False
        self.life: asyncio.Timeout | None = None
        self._access = access
        self._admission = admission
        self._limits = limits
        self._scope = scope
        self._receive = receive
        self._started = asyncio.get_running_loop().time()
        self._timeout: asyncio.Timeout | None = None
        self._place: Place | None = None
        self._received = 0
        self._counted = 0  # by the limit on the caller's bytes
        self._is_complete = False

    def check(self) -> None:
        """Refuse a request at once if its answer would come too late.

        Raises:
            OverloadedError: The request is refused.
        """
        try:
            self._admission.check(caller_of(self._scope), timeout_of(self._scope))
        except OverloadedError:
            self.is_refused = declared_bytes(self._scope) > CHEAP_BYTES
            raise

    async def receive(self) -> Message:
        """Return the next part of the body, within the limits."""
        if self._is_complete:
            return await self._receive()  # only reports that the client has left, so no deadline applies
        try:
            return await self._next()
        except (BodyTooLargeError, OverloadedError, RateLimitedError, UploadTimeoutError):
            self.is_refused = True
            raise

    async def _next(self) -> Message:
        place = self._place or self._enter()
        try:
            async with asyncio.timeout_at(self._deadline()) as self._timeout:
                message = await self._receive()
        except TimeoutError:
            if self.has_given_up:
                raise self.given_up() from None
            raise UploadTimeoutError(
                f"the body did not arrive within {self._limits.seconds:g} s, at {self._limits.least_rate:g} bytes a "
                "second or more"
            ) from None
        finally:
            self._timeout = None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._limits.max_bytes:
                raise BodyTooLargeError(self._too_large(f"more than {self._limits.max_bytes} arrived"))
            self._count(self._received)
            place.grow_to(self._received)
            if not message.get("more_body", False):
                place.run()
                self._is_complete = True
        return message

    def _deadline(self) -> float:
        seconds = min(self._limits.seconds, FIRST_SECONDS + self._received / self._limits.least_rate)
        return 0.0 if self.has_given_up else self._started + seconds

    def _enter(self) -> Place:
        declared = declared_bytes(self._scope)
        if declared > self._limits.max_bytes:
            shown = declared if math.isfinite(declared) else "a number of more than 20 digits"
            raise BodyTooLargeError(self._too_large(f"the Content-Length is {shown}"))
        self._place = self._admission.enter(
            caller_of(self._scope), int(declared), self._give_up, timeout_of(self._scope)
        )
        self._count(int(declared))
        return self._place

    def _count(self, size: int) -> None:
        """Count the bytes of the body, of which there are `size` at least."""
        if size > self._counted:
            self._access.spend_bytes(caller_of(self._scope), size - self._counted)
            self._counted = size

    def _give_up(self) -> None:
        self.has_given_up = True
        if self._timeout is not None:  # the upload waits for more of the body
            self._timeout.reschedule(0.0)
        elif self._is_complete and self.life is not None:
            self.life.reschedule(0.0)

    def given_up(self) -> OverloadedError:
        """Return the error for what `_give_up` ends."""
        return OverloadedError("another client needs the place that this request takes; try again", reason="fairness")

    def _too_large(self, reason: str) -> str:
        return f"a request body may have {self._limits.max_bytes} bytes; {reason}"

    def leave(self) -> None:
        """Give back what the request held."""
        if self._place is not None:
            self._place.leave()


def declared_bytes(scope: Scope) -> float:
    """Return the declared length of a body, 0 if unknown; infinity for more digits than are worth converting."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"").lstrip(b"0")
    if not declared.isdigit():
        return 0
    return int(declared) if len(declared) <= 20 else math.inf


def timeout_of(scope: Scope) -> float | None:
    """Return the deadline that the client has set, in seconds; None if it has set none, or an invalid one."""
    given = _TIMEOUT.findall(scope.get("query_string", b""))
    try:
        seconds = float(unquote_to_bytes(given[-1]))
    except (IndexError, ValueError):
        return None
    return seconds if seconds > 0 else None
