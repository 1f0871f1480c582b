"""Both clients under one blocking interface, so that each promise is tested of both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from keras_archs.client import AsyncClient, Client


class _Blocking:
    """Runs the methods of an `AsyncClient` to their end."""

    def __init__(self, runner: asyncio.Runner, client: AsyncClient) -> None:
        self._runner = runner
        self._client = client

    def __repr__(self) -> str:
        return repr(self._client)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **options: self._runner.run(method(*args, **options))


@contextmanager
def blocking_client(kind: str, url: str, **options: Any) -> Iterator[Any]:
    """Yield a client of either kind: "Client" or "AsyncClient"."""
    if kind == "Client":
        with Client(url, **options) as client:
            yield client
        return
    with asyncio.Runner() as runner:
        waiting = _Blocking(runner, AsyncClient(url, **options))
        yield waiting
        waiting.close()
