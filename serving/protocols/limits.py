"""Bounds on request bodies, enforced while they arrive: on bytes, whatever length the client declares, and on time."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.errors import BodyTooLargeError, UploadTimeoutError


class BodyLimit:
    """Raises out of `receive` as soon as a body is known to exceed its bounds; nothing more of it is then read."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, timeout: float) -> None:
        """Wraps `app`.

        Args:
            app: An application that turns the errors into responses.
            max_bytes: Largest body.
            timeout: Seconds from the request's head until the whole body must have arrived.
        """
        self._app = app
        self._max_bytes = max_bytes
        self._timeout = timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one connection event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        received = 0
        complete = False
        deadline = asyncio.get_running_loop().time() + self._timeout

        async def bounded() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()  # what comes now is the client's leaving, which may take as long as it likes
            if declared.isdecimal() and int(declared) > self._max_bytes:
                raise BodyTooLargeError(self._too_large(f"{declared} bytes were announced"))
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise UploadTimeoutError(f"the body did not arrive within {self._timeout:g} s") from None
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if received > self._max_bytes:
                    raise BodyTooLargeError(self._too_large(f"more than {self._max_bytes} were sent"))
            return message

        await self._app(scope, bounded, send)

    def _too_large(self, found: str) -> str:
        return f"a request's body may have {self._max_bytes} bytes; {found}"
