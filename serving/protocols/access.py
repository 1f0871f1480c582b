"""Finds out who sends a request, refuses strangers, and tells callers what is left of their limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.core.access import Access, Caller, credentials_in
from serving.core.errors import ModelNotAllowedError, ServingError, UnauthenticatedError
from serving.core.rates import WINDOW_SECONDS, Quota
from serving.protocols.exchanges import note_caller

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""The page, which asks for a key, and what orchestrators ask."""
OPEN_FOLDERS = ("/static/", "/static-offline-docs/")
METRICS = "/metrics"
ADMIN_PATHS = frozenset({METRICS, "/docs", "/docs/oauth2-redirect", "/openapi.json"})
"""What an admin port has to itself, and without a key."""

_UNITS = {"requests": "", "bytes": ';qu="content-bytes"'}


class Identification:
    """Puts the `Caller` of each request into its scope, counts the request, and adds the headers of rate limits.

    A path needs a credential, where the gateway has any, and is counted, unless it is open.
    """

    def __init__(self, app: ASGIApp, *, access: Access, admin_port: int | None = None) -> None:
        """Wrap `app`.

        Args:
            app: Application, inside of an application that has handlers for the errors.
            access: Who is let in.
            admin_port: Port of the admin paths; None if they are where all others are, and need a credential.
        """
        self._app = app
        self._access = access
        self._admin_port = admin_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        address, *_ = scope.get("client") or ("",)
        try:
            if self._is_open(scope):
                state["caller"] = Caller(address)
            else:
                caller = state["caller"] = await self._access.identify(credentials_in(scope["headers"]), address)
                note_caller(caller)
                send = self._limited(caller, send)
                self._access.spend_request(caller)
                if scope["path"] == METRICS and caller.models is not None:
                    raise ModelNotAllowedError("the metrics are those of all models, for which the key has to be")
        except (ServingError, HTTPException) as error:
            await _answer(error, scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path: str = scope["path"]
        if self._admin_port is not None and path in ADMIN_PATHS:
            if scope["server"][1] != self._admin_port:
                raise HTTPException(404, "the path is on the admin port")
            return True
        return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)

    def _limited(self, caller: Caller, send: Send) -> Send:
        """Return a `send` that adds the headers of the caller's limits to the answer."""
        if not self._access.is_limited(caller):
            return send

        async def send_limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_headers(self._access.quotas(caller))]
            await send(message)

        return send_limited


def caller_of(scope: Scope) -> Caller:
    """Return who sends the request."""
    caller: Caller = scope["state"]["caller"]
    return caller


def _headers(quotas: Sequence[Quota]) -> list[tuple[bytes, bytes]]:
    """Return the header fields of draft-ietf-httpapi-ratelimit-headers."""
    policies = b", ".join([_policy(quota.unit, quota.per_minute) for quota in quotas])
    left = ", ".join([f'"{quota.unit}";r={quota.remaining};t={math.ceil(quota.full_in)}' for quota in quotas])
    return [(b"ratelimit-policy", policies), (b"ratelimit", left.encode())]


@lru_cache(maxsize=1024)
def _policy(unit: str, per_minute: int) -> bytes:
    return f'"{unit}";q={per_minute};w={WINDOW_SECONDS:.0f}{_UNITS[unit]}'.encode()


async def _answer(error: ServingError | HTTPException, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the application's own handler answer, which knows what errors of each protocol look like."""
    kind = ServingError if isinstance(error, ServingError) else HTTPException
    response = await scope["app"].exception_handlers[kind](Request(scope), error)
    if isinstance(error, UnauthenticatedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    await response(scope, receive, send)
