"""Fixtures of the client's tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tenacity import wait_random

from tests.client.clients import blocking_client


@pytest.fixture(params=["Client", "AsyncClient"])
def connect(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Creates a client of either kind, with the methods of `Client`."""
    with ExitStack() as stack:
        yield lambda url, **options: stack.enter_context(blocking_client(request.param, url, **options))


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the next attempt follow at once."""
    monkeypatch.setattr("keras_archs.client.retries._PAUSES", wait_random(0, 0.01))
