"""The TensorFlow Serving engine over fake servers, in the test's own process."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np

from serving.core.access import Caller
from serving.core.repository import ModelSpec
from serving.engines.tf_serving import TfServingEngine
from serving.engines.tf_serving.backend import Backend
from serving.engines.tf_serving.names import Target
from serving.engines.tf_serving.pool import BackendPool
from tests.support.fake_server import CLASSES, FakeServer

NET = ModelSpec("net")
IMAGES = np.zeros((3, 8, 8, 3), np.uint8)


def connect(address: str, host: str, patience: float = 30) -> Backend:
    """Prepare a connection to a server, which hangs if it answers no prediction within `patience` seconds."""
    return Backend(address, host=host, tls=None, max_message_bytes=64_000_000, patience=patience)


@asynccontextmanager
async def started(
    repository: Path,
    *servers: FakeServer,
    others: Sequence[Target] = (),
    poll_seconds: float = 0.02,
    patience: float = 30,
) -> AsyncIterator[TfServingEngine]:
    """Start these servers and an engine that uses them, and `others` too."""
    for server in servers:
        await server.start()
    targets = [*(Target("127.0.0.1", server.port) for server in servers), *others]
    pool = BackendPool(targets, functools.partial(connect, patience=patience))
    engine = TfServingEngine(repository, pool, poll_seconds=poll_seconds)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
        for server in servers:
            await server.stop()


async def predicted_version(engine: TfServingEngine, spec: ModelSpec = NET, deadline: float = math.inf) -> int:
    """Predict with at most 10 s until the deadline; return the version that answers, which is the likeliest class."""
    model = await engine.acquire(spec)
    prediction = await model.predict(IMAGES, min(deadline, asyncio.get_running_loop().time() + 10), Caller("a"))
    assert prediction.probabilities.shape == (len(IMAGES), CLASSES)
    assert prediction.probabilities[-1].argmax() == model.version
    return model.version
