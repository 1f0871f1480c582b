"""Requests that are refused at their headers, before a task and the layers of the application are set up for them.

Under overload most requests are refused. The layers would take several times as long for each, which the requests that
are admitted would lose. Metrics, log lines and answers are those of the application, which remains to be asked whenever
there is more to find out, such as whether a credential that is not known yet is valid.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextvars import copy_context
from typing import Any, Final
from uuid import uuid4

from asgi_correlation_id import correlation_id
from starlette.types import Scope
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.core.access import Access, Caller, credentials_in
from serving.core.admission import Admission
from serving.core.errors import OverloadedError
from serving.protocols.exchanges import Recorder, exchange_of, recorded
from serving.protocols.failure_log import log_failure
from serving.protocols.limits import CHEAP_BYTES, declared_bytes, timeout_of
from serving.protocols.problems import problem_content
from serving.protocols.request_ids import safe_request_id
from serving.protocols.security_headers import ENCODED_HEADERS

FOR_THE_APPLICATION: Final = frozenset({b"expect", b"origin", b"transfer-encoding"})
"""Headers of requests whose answer depends on more than the limits."""
_GAP: Final = uuid4().hex
"""Stands for the request id in templates; random, so that nothing that a client sends contains it."""


class EarlyRefusal:
    """Refuses requests whose answer would come too late."""

    def __init__(
        self,
        access: Access,
        admission: Admission,
        recorders: Sequence[Recorder],
        trusted_proxies: Sequence[str] = (),
    ) -> None:
        """Take what the application uses, too.

        Args:
            access: Who is let in.
            admission: Limits of all requests together.
            recorders: Record each refusal.
            trusted_proxies: Addresses or networks of proxies that may say who their client is.
        """
        self._access = access
        self._admission = admission
        self._recorders = recorders
        self._proxies = ProxyHeadersMiddleware(_no_application, list(trusted_proxies)).trusted_hosts

    def answer(self, scope: Scope) -> bytes | None:
        """Return the whole answer to a request that is refused; None if the application is to be asked.

        Args:
            scope: ASGI's scope of a request with a body.
        """
        headers = scope["headers"]
        names = dict(headers)
        if not FOR_THE_APPLICATION.isdisjoint(names) or not 0 < declared_bytes(scope) <= CHEAP_BYTES:
            return None
        address, *_ = scope["client"] or ("",)
        if b"x-forwarded-for" in names:
            address = self._client_of_proxy(address, headers)
        caller = self._access.recognise(credentials_in(headers), address)
        if caller is None or self._access.is_limited(caller):
            return None
        try:
            self._admission.check(caller, timeout_of(scope))
        except OverloadedError as error:
            return copy_context().run(self._refuse, scope, caller, error)
        return None

    def _client_of_proxy(self, address: str, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the client that a trusted proxy names; the address itself, if it is none of a trusted proxy."""
        if address not in self._proxies:
            return address
        forwarded = b", ".join(value for name, value in headers if name == b"x-forwarded-for")
        client, _ = self._proxies.get_trusted_client_address(forwarded.decode("latin-1"))
        return client or address

    def _refuse(self, scope: Scope, caller: Caller, error: OverloadedError) -> bytes:
        exchange = exchange_of(scope)
        request_id = safe_request_id(exchange.header("x-request-id") or "")
        correlation_id.set(request_id)
        with recorded(exchange, self._recorders):
            exchange.caller = caller.name
            exchange.fail(error)
            exchange.status, head, parts = _template(exchange.path, str(error), error.retry_after)
            log_failure(exchange.status, exchange.client, f"{exchange.method} {exchange.path}", str(error))
            body = request_id.encode().join(parts)
            exchange.sent = len(body)
        return b"%b%d\r\nx-request-id: %b\r\n\r\n%b" % (head, len(body), request_id.encode(), body)


@functools.lru_cache(maxsize=64)
def _template(path: str, detail: str, retry_after: int | None) -> tuple[int, bytes, list[bytes]]:
    """Return status, head and body of a refusal, which differs from the next refusal only in the request id.

    The head ends before the length of the body, and the body has gaps for the request id.
    """
    error = OverloadedError
    status, media_type, content = problem_content(
        path, status=error.status, slug=error.slug, title=error.title, detail=detail, request_id=_GAP
    )
    fields = [(b"content-type", media_type.encode()), *ENCODED_HEADERS]
    if retry_after is not None:
        fields.append((b"retry-after", b"%d" % retry_after))
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    return status, STATUS_LINE[status] + lines + b"content-length: ", content.split(_GAP.encode())


async def _no_application(*_: Any) -> None:
    """Stand for the application of a middleware of which only the knowledge of proxies is used."""
