"""The gateway's application in the test's own process, with a fake runtime or fake servers behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import numpy as np

from serving.app import create_app
from serving.settings import Settings
from tests.support.fake_runtime import FakeRuntime, publish
from tests.support.images import encode

IMAGE = encode(np.zeros((20, 30, 3), np.uint8), "PNG")
JPEG = {"Content-Type": "image/jpeg"}  # whatever the image is: the gateway looks at the bytes


@asynccontextmanager
async def running_app(repository: Path, **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Start the application with version 7 of `net`, which always predicts class 7 of 20; yield a client.

    Args:
        repository: Folder of a new repository.
        **settings: The gateway's settings.
    """
    publish(repository, "net", 7)
    with mock.patch("serving.app.create_runtime", lambda _: FakeRuntime()):
        app = create_app(Settings(repository=repository, **settings))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("192.0.2.7", 1234))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://gateway", headers=JPEG) as client,
    ):
        yield client
