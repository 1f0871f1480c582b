"""Limits on request bodies, enforced before and while a body arrives: on bytes, on time, and on all bodies together."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.admission import Admission, Place
from serving.core.errors import BodyTooLargeError, OverloadedError, UploadTimeoutError


class BodyLimit:
    """Admits a request when its body is asked for, and raises from `receive` as soon as the body exceeds a limit.

    Requests whose body nobody reads, such as health checks, need no admission. After an error the rest of the body is
    not read: the answer closes the connection.
    """

    def __init__(self, app: ASGIApp, *, admission: Admission, max_bytes: int, timeout: float) -> None:
        """Wrap `app`.

        Args:
            app: Application that converts the errors to responses.
            admission: Limits of all requests together.
            max_bytes: Size of the largest body.
            timeout: Seconds from the request's headers to the last byte of the body.
        """
        self._app = app
        self._admission = admission
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = _Upload(self._admission, scope, receive, self._max_bytes, self._timeout)

        async def closing_send(message: Message) -> None:
            if upload.is_refused and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, upload.receive, closing_send)
        finally:
            upload.leave()


class _Upload:
    """The body of one request while it arrives.

    Attributes:
        is_refused: Whether the body exceeded a limit, so that the rest of it is not read.
    """

    def __init__(self, admission: Admission, scope: Scope, receive: Receive, max_bytes: int, timeout: float) -> None:
        self.is_refused = False
        self._admission = admission
        self._scope = scope
        self._receive = receive
        self._max_bytes = max_bytes
        self._seconds = timeout
        self._deadline = asyncio.get_running_loop().time() + timeout
        self._timeout: asyncio.Timeout | None = None
        self._place: Place | None = None
        self._has_given_up = False
        self._received = 0
        self._is_complete = False

    async def receive(self) -> Message:
        """Return the next part of the body, within the limits."""
        if self._is_complete:
            return await self._receive()  # only reports that the client has left, so no deadline applies
        try:
            return await self._next()
        except (BodyTooLargeError, OverloadedError, UploadTimeoutError):
            self.is_refused = True
            raise

    async def _next(self) -> Message:
        place = self._place or self._enter()
        try:
            async with asyncio.timeout_at(self._deadline) as self._timeout:
                message = await self._receive()
        except TimeoutError:
            if self._has_given_up:
                raise OverloadedError("another client needs the memory that this body takes; try again") from None
            raise UploadTimeoutError(f"the body did not arrive within {self._seconds:g} s") from None
        finally:
            self._timeout = None
        if message["type"] == "http.request":
            self._received += len(message.get("body", b""))
            if self._received > self._max_bytes:
                raise BodyTooLargeError(self._too_large(f"more than {self._max_bytes} arrived"))
            place.grow_to(self._received)
            if not message.get("more_body", False):
                place.run()
                self._is_complete = True
        return message

    def _enter(self) -> Place:
        # leading zeros are allowed, and Python refuses to convert thousands of digits
        declared = Headers(scope=self._scope).get("content-length", "").lstrip("0")
        declared = declared if declared.isdecimal() else "0"
        if len(declared) > len(str(self._max_bytes)) or int(declared) > self._max_bytes:
            shown = declared if len(declared) <= 20 else f"a number of {len(declared)} digits"
            raise BodyTooLargeError(self._too_large(f"the Content-Length is {shown}"))
        client = self._scope.get("client") or ("",)
        self._place = self._admission.enter(client[0], int(declared), self._give_up)
        return self._place

    def _give_up(self) -> None:
        self._has_given_up = True
        self._deadline = 0.0
        if self._timeout is not None:  # the upload waits for more of the body
            self._timeout.reschedule(self._deadline)

    def _too_large(self, reason: str) -> str:
        return f"a request body may have {self._max_bytes} bytes; {reason}"

    def leave(self) -> None:
        """Give back what the request held."""
        if self._place is not None:
            self._place.leave()
