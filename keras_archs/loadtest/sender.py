"""Sends requests over connections that stay open, and says what became of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import httpcore
import httpx

from keras_archs.client.replies import Reply, phases, problem
from keras_archs.loadtest.requests import LoadRequest

_ANSWERS = ("application/json", "application/octet-stream")


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Attributes:
        error: Kind of failure, such as "overloaded" or "no answer in time"; None for an answer of the model.
        detail: What the server says of the failure.
        phases: Seconds of each phase that the server reports.
        received: Bytes of the answer's body.
    """

    error: str | None = None
    detail: str = ""
    phases: Mapping[str, float] = field(default_factory=dict)
    received: int = 0


class Sender:
    """Connections to one server, each for one request at a time.

    The library below httpx, and without its pool: the client's own time per request counts at high rates, and a pool
    looks at all its connections for each request.
    """

    def __init__(self, url: str, *, key: str | None, timeout: float, connections: int) -> None:
        """Prepare the connections; each is opened when it is needed.

        Args:
            url: URL of the server.
            key: API key or token; None for none.
            timeout: Seconds after which a request has failed.
            connections: Largest number of connections; further requests wait for one of them.
        """
        address = httpx.URL(url)  # with an international name as its ASCII form
        self._url = httpcore.URL(
            scheme=address.raw_scheme, host=address.raw_host, port=address.port, target=address.raw_path.rstrip(b"/")
        )
        self._ssl_context = httpx.create_ssl_context() if address.scheme == "https" else None  # heeds SSL_CERT_FILE
        self._timeout = timeout
        self._headers = [("Host", address.netloc.decode())]
        if key is not None:
            self._headers.append(("Authorization", f"Bearer {key}"))
        self._free = asyncio.Semaphore(connections)
        self._idle: list[httpcore.AsyncHTTPConnection] = []

    async def send(self, request: LoadRequest) -> Outcome:
        """Send a request and receive its answer."""
        try:
            async with asyncio.timeout(self._timeout), self._free, self._connection() as connection:
                response = await connection.request(
                    "POST",
                    self._target(request.path),
                    headers=[*self._headers, *request.headers.items(), ("Content-Length", str(len(request.body)))],
                    content=request.body,
                )
        except TimeoutError:
            return Outcome("no answer in time", f"there was no answer within {self._timeout:g} s")
        except httpcore.ConnectError as error:
            return Outcome("no connection", str(error))
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            return Outcome("broken connection", str(error) or type(error).__name__)
        return _outcome(response)

    def _target(self, path: str) -> httpcore.URL:
        url = self._url
        return httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target + path.encode())

    async def close(self) -> None:
        """Close the connections."""
        for connection in self._idle:
            await connection.aclose()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[httpcore.AsyncHTTPConnection]:
        """Yield the connection that was used last, so that few are kept busy, or a new connection."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():  # the server may have closed it
                break
            await connection.aclose()
        else:
            connection = httpcore.AsyncHTTPConnection(self._url.origin, ssl_context=self._ssl_context)
        try:
            yield connection
        except BaseException:
            await connection.aclose()
            raise
        if connection.is_idle():
            self._idle.append(connection)
        else:
            await connection.aclose()


def _outcome(response: httpcore.Response) -> Outcome:
    headers = httpx.Headers(response.headers)
    content = response.content
    received = len(content)
    if response.status == HTTPStatus.OK:
        media_type = headers.get("Content-Type", "").partition(";")[0]
        if media_type in _ANSWERS:
            return Outcome(phases=phases(headers.get("Server-Timing", "")), received=received)
        return Outcome("another server", f"the answer has the type {media_type!r}", received=received)
    error = problem(Reply(response.status, headers, content, 0.0))
    detail = error.detail if error.slug else content[:200].decode(errors="replace")
    return Outcome(error.slug or f"status {response.status}", detail, received=received)
