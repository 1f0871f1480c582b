"""What both clients know of a gateway: its address, the key, and how a call becomes an HTTP request with a deadline."""

from __future__ import annotations

import functools
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

import httpx

from keras_archs.client.calls import Call
from keras_archs.client.errors import NoAnswerError, UnexpectedAnswerError
from keras_archs.client.replies import Reply

CONNECT_SECONDS = 5.0
"""Seconds for a connection, after which another attempt may still succeed before the deadline."""
_KEY = re.compile("[!-~]+")
_OF_THE_SERVER = 0.95  # part of the time that is left; the rest brings the server's own error back before the deadline


def check_url(url: str) -> None:
    """Refuse a URL that is none of a gateway.

    Raises:
        ValueError: The URL has another form; the message does not show a password.
    """
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise ValueError("the URL contains a name or a password, which a gateway does not take: it takes a key")
    is_plain = not (parts.query or parts.fragment or re.search(r"[\s\x00-\x1f\x7f]", url))
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or not is_plain:
        raise ValueError(f"the URL is http(s)://HOST[:PORT][/PATH]; got {url!r}")


def check_key(key: str | None) -> None:
    """Refuse a key that a header cannot carry.

    Raises:
        ValueError: The key has other characters; the message does not show it.
    """
    if key is not None and not _KEY.fullmatch(key):
        raise ValueError("the key is printable ASCII without white space; what was given is not, and is not shown")


@dataclass(frozen=True)
class Gateway:
    """A gateway and how to talk to it.

    Attributes:
        url: Where the gateway is.
        key: API key or token; None if the gateway asks for none.
        timeout: Seconds until a request must have been answered, all attempts together.
        attempts: Largest number of attempts.
        concurrency: Requests in flight for one batch.
        max_images: Largest number of images in a request.
        max_bytes: Bytes of images in a request of several images.
    """

    url: str
    key: str | None = field(repr=False)
    timeout: float
    attempts: int
    concurrency: int
    max_images: int
    max_bytes: int

    def __post_init__(self) -> None:
        check_url(self.url)
        check_key(self.key)
        _check_timeout(self.timeout)
        for name in ("attempts", "concurrency", "max_images", "max_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1; got {getattr(self, name)}")

    def deadline(self, timeout: float | None) -> float:
        """Return when a call that begins now must have been answered, on the monotonic clock.

        Args:
            timeout: Seconds; None for the gateway's.
        """
        if timeout is not None:
            _check_timeout(timeout)
        return time.monotonic() + (self.timeout if timeout is None else timeout)


@functools.cache
def _user_agent() -> str:
    return f"keras-archs/{metadata.version('keras-archs')}"


def _check_timeout(timeout: float) -> None:
    if not 0 < timeout < math.inf:
        raise ValueError(f"the timeout is a number of seconds above 0; got {timeout}")


class _TimeLeft(Mapping[str, float]):
    """The timeouts of httpx's steps: pool, connect, write, read. Each step has what the steps before it have left."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def __getitem__(self, step: str) -> float:
        left = max(0.001, self._deadline - time.monotonic())
        return min(left, CONNECT_SECONDS) if step == "connect" else left

    def __iter__(self) -> Iterator[str]:
        return iter(("pool", "connect", "write", "read"))

    def __len__(self) -> int:
        return 4


class Attempt:
    """One attempt at a call: the request, and the answer as it arrives."""

    def __init__(self, gateway: Gateway, call: Call[Any], deadline: float) -> None:
        self._gateway = gateway
        self._call = call
        self._deadline = deadline
        self._started = time.monotonic()
        self._content = bytearray()

    def request(self) -> dict[str, Any]:
        """Return the arguments of `httpx.Client.stream`."""
        left = max(0.001, self._deadline - self._started)
        body = self._call.body()
        headers = {"Accept": "application/json", "User-Agent": _user_agent()}
        if self._gateway.key is not None:
            headers["Authorization"] = f"Bearer {self._gateway.key}"
        query: dict[str, str] = {name: str(value) for name, value in self._call.query.items() if value is not None}
        if self._call.images:
            query["timeout"] = f"{_OF_THE_SERVER * left:.3g}"
        return body | {
            "method": self._call.method,
            "url": f"{self._gateway.url.rstrip('/')}/{self._call.path}",
            "params": query,
            "headers": headers | body.get("headers", {}),
            # the argument `timeout` would give each step the whole time
            "extensions": {"timeout": _TimeLeft(self._deadline)},
        }

    def take(self, content: bytes) -> None:
        """Take a part of the body, which may not arrive after the deadline."""
        self._content += content
        if time.monotonic() > self._deadline:
            raise self._too_late()

    def reply(self, response: httpx.Response) -> Reply:
        """Return the complete answer."""
        return Reply(response.status_code, response.headers, bytes(self._content), time.monotonic() - self._started)

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn httpx's errors into those of this package, which contain neither the key nor the body."""
        try:
            yield
        except httpx.ConnectTimeout as error:
            is_late = time.monotonic() >= self._deadline
            raise (
                self._too_late() if is_late else NoAnswerError(f"cannot connect to {self._gateway.url}: no reply")
            ) from error
        except httpx.TimeoutException as error:
            raise self._too_late() from error
        except (httpx.ConnectError, httpx.ProxyError) as error:
            raise NoAnswerError(f"cannot connect to {self._gateway.url}: {error}") from error
        except (httpx.NetworkError, httpx.ProtocolError) as error:
            raise NoAnswerError(
                f"the connection to {self._gateway.url} broke: {error or type(error).__name__}"
            ) from error
        except (httpx.DecodingError, httpx.TooManyRedirects, httpx.UnsupportedProtocol) as error:
            raise UnexpectedAnswerError(f"this is no answer of a gateway: {error}; check the URL") from error

    def _too_late(self) -> NoAnswerError:
        return NoAnswerError(f"there was no answer from {self._gateway.url} before the deadline", is_temporary=False)
