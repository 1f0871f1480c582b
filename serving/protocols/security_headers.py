"""Headers that tell browsers what an answer of the gateway may do, and who may embed it."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE, DOCS = "/", "/docs"
_NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OWN_FILES = f"{_NOTHING}; connect-src 'self'; script-src 'self'"

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": _NOTHING,
}
"""Headers of answers that are no pages."""
PAGE_HEADERS: Final = HEADERS | {
    # photographs of the camera and the clipboard are blobs and data
    "Content-Security-Policy": f"{_OWN_FILES}; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


ENCODED_HEADERS: Final = _encoded(HEADERS)
"""`HEADERS` as ASGI has them."""
_INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """Adds the headers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._page = _encoded(PAGE_HEADERS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["path"] == DOCS:
            await self._app(scope, receive, _DocsSend(send))
            return
        headers = self._page if scope["path"] == PAGE else ENCODED_HEADERS

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, send_with_headers)


class _DocsSend:
    """A `send` that allows the script within the documentation page, and no other, by its hash."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message  # held until the page is known
            return
        if self._start is not None:
            start, self._start = self._start, None
            policy = {"Content-Security-Policy": _docs_policy(message["body"])}
            start["headers"] = [*start["headers"], *_encoded(HEADERS | policy)]
            await self._send(start)
        await self._send(message)


def _docs_policy(page: bytes) -> str:
    hashes = (hashlib.sha256(script).digest() for script in _INLINE_SCRIPT.findall(page))
    allowed = "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    return f"{_OWN_FILES}{allowed}; style-src 'self'; img-src 'self' data:"
