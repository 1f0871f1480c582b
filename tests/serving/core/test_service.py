"""The service: limits on time, and no blocking of the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs.images.decoding import decode
from serving.core.access import Caller
from serving.core.decoding import Decoder
from serving.core.errors import DeadlineExceededError, InvalidImageError, InvalidParameterError
from serving.core.repository import ModelSpec
from serving.core.service import ClassificationService
from serving.engines.embedded import EmbeddedEngine
from tests.support.fake_runtime import FakeRuntime, publish
from tests.support.images import encode

NET = ModelSpec("net")
CALLER = Caller("a client")
IMAGE = encode(np.zeros((20, 20, 3), np.uint8), "PNG")


@asynccontextmanager
async def started(repository: Path, **limits: Any) -> AsyncIterator[ClassificationService]:
    """Start a service with version 7 of a model that always predicts class 7 of 20."""
    publish(repository, "net", 7)
    engine = EmbeddedEngine(repository, FakeRuntime(), workers=2)
    service = ClassificationService(
        engine,
        Decoder(workers=2, max_pixels=10_000, max_memory=100_000_000),
        **({"timeout_seconds": 10} | limits),
    )
    await engine.start()
    try:
        yield service
    finally:
        await engine.close()
        await service.close()


class Gate(threading.Event):
    """Lets images be decoded once it is set.

    Attributes:
        reached: Set when the first decoding waits.
        passages: Threads that have reached the gate.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reached = threading.Event()
        self.passages: list[int] = []


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    gate = Gate()

    def wait_and_decode(*arguments: Any, **options: Any) -> NDArray[np.uint8]:
        gate.passages.append(threading.get_ident())
        gate.reached.set()
        assert gate.wait(20)
        return decode(*arguments, **options)

    monkeypatch.setattr("serving.core.decoding.decode", wait_and_decode)
    return gate


def test_each_image_gets_its_best_classes_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as service:
            answer = await service.classify([IMAGE] * 5, NET, caller=CALLER, top_k=3)
            assert answer.version == 7
            assert [[score.index for score in scores] for scores in answer.images] == [[7, 0, 1]] * 5
            assert answer.images[0][0].label == "class 7"
            (every,) = (await service.classify([IMAGE], NET, caller=CALLER, top_k=20)).images
            assert len(every) == 20
            (default,) = (await service.classify([IMAGE], NET, caller=CALLER)).images
            assert len(default) == 5

    asyncio.run(scenario())


def test_top_k_above_the_number_of_classes_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as service:
            with pytest.raises(InvalidParameterError, match="from 1 to 20, the classes of net; got 21"):
                await service.classify([IMAGE], NET, caller=CALLER, top_k=21)

    asyncio.run(scenario())


def test_an_explanation_is_for_the_most_probable_class_or_the_given_class(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as service:
            answer = await service.explain(IMAGE, NET, caller=CALLER)
            assert (answer.version, answer.explained.index, answer.explained.score) == (7, 7, 1)
            np.testing.assert_array_equal(answer.grid, np.ones((2, 3)))
            assert (answer.overlay, answer.timing.draw) == (None, 0)
            other = await service.explain(IMAGE, NET, caller=CALLER, index=3, draw=True)
            assert (other.explained.label, other.explained.score) == ("class 3", 0)
            assert other.overlay is not None and other.overlay.startswith(b"\x89PNG")
            with pytest.raises(InvalidParameterError, match="from 0 to 19, the classes of net; got 20"):
                await service.explain(IMAGE, NET, caller=CALLER, index=20)

    asyncio.run(scenario())


def test_decoding_does_not_block_the_event_loop(tmp_path: Path, gate: Gate) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as service:
            waiting = asyncio.create_task(service.classify([IMAGE], NET, caller=CALLER))
            assert await asyncio.to_thread(gate.reached.wait, 10)
            gate.set()  # too late if decoding blocked the loop
            assert (await waiting).version == 7

    asyncio.run(scenario())


def test_a_missed_deadline_cancels_waiting_work(tmp_path: Path, gate: Gate) -> None:
    async def scenario() -> None:
        async with started(tmp_path, timeout_seconds=0.2) as service:
            with pytest.raises(DeadlineExceededError, match=r"0\.2 s"):
                await service.classify([IMAGE] * 10, NET, caller=CALLER)
            gate.set()
            assert (await service.classify([IMAGE], NET, caller=CALLER)).version == 7
        assert len(gate.passages) == 2 + 1  # two threads had begun to decode two of the ten images

    asyncio.run(scenario())


def test_a_bad_image_is_reported_with_its_number(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(tmp_path) as service:
            with pytest.raises(InvalidImageError, match=r"^image 2: "):
                await service.classify([IMAGE, b"rubbish", IMAGE], NET, caller=CALLER)

    asyncio.run(scenario())
