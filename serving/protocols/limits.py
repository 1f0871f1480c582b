"""Limits on request bodies, enforced while the body arrives: on bytes, whatever length is declared, and on time."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import BodyTooLargeError, UploadTimeoutError


class BodyLimit:
    """Raises from `receive` as soon as a body exceeds a limit; the rest of the body is not read."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout: float) -> None:
        """Wrap `app`.

        Args:
            app: Application that converts the errors to responses.
            max_bytes: Size of the largest body.
            timeout: Seconds from the request's headers to the last byte of the body.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self._timeout

        async def limited_receive() -> Message:
            nonlocal received, complete
            if complete:
                # the body is complete: from here `receive()` only reports a disconnect, so no deadline applies
                return await receive()
            if declared.isdecimal() and int(declared) > self._max_bytes:
                raise BodyTooLargeError(self._too_large(f"the Content-Length is {declared}"))
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise UploadTimeoutError(f"the body did not arrive within {self._timeout:g} s") from None
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if received > self._max_bytes:
                    raise BodyTooLargeError(self._too_large(f"more than {self._max_bytes} arrived"))
            return message

        await self._app(scope, limited_receive, send)

    def _too_large(self, reason: str) -> str:
        return f"a request body may have {self._max_bytes} bytes; {reason}"
