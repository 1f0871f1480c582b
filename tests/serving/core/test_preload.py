"""The gateway is ready once the models that it was asked to preload have been loaded."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.core.preload import Preload
from serving.engines import embedded
from serving.engines.embedded import EmbeddedEngine
from tests.support.fake_runtime import FakeRuntime, eventually, publish


@contextlib.asynccontextmanager
async def preloading(repository: Path, runtime: FakeRuntime, *names: str) -> AsyncIterator[Preload]:
    engine = EmbeddedEngine(repository, runtime, workers=1, poll_seconds=0.01)
    preload = Preload(engine, names, retry_seconds=0.01)
    await engine.start()
    preload.start()
    try:
        yield preload
    finally:
        runtime.may_load.set()
        await preload.close()
        await engine.close()


async def reason_contains(preload: Preload, text: str) -> None:
    await eventually(lambda: asyncio.sleep(0, text in (preload.not_ready_reason() or "")))


async def becomes_ready(preload: Preload) -> None:
    await eventually(lambda: asyncio.sleep(0, preload.not_ready_reason() is None))


def test_without_models_to_preload_the_gateway_is_ready_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        runtime = FakeRuntime()
        async with preloading(tmp_path, runtime) as preload:
            assert preload.not_ready_reason() is None
        assert runtime.loads == []

    asyncio.run(scenario())


def test_the_gateway_is_not_ready_while_a_model_is_loading(tmp_path: Path) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        runtime = FakeRuntime()
        runtime.may_load.clear()
        async with preloading(tmp_path, runtime, "net") as preload:
            assert preload.not_ready_reason() == "cannot preload net: it is still loading"
            runtime.may_load.set()
            await becomes_ready(preload)

    asyncio.run(scenario())


@pytest.mark.parametrize("name", ["nett", "net/1", "Net"])
def test_a_misspelt_name_is_not_ready_and_names_the_likely_model(tmp_path: Path, name: str) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        async with preloading(tmp_path, FakeRuntime(), name, "net") as preload:
            expected = f"cannot preload {name}: no model {name!r} is published here; did you mean net"
            await reason_contains(preload, expected)
            await eventually(lambda: asyncio.sleep(0, "preload net:" not in (preload.not_ready_reason() or "")))

    asyncio.run(scenario())


def test_a_model_that_is_published_later_makes_the_gateway_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with preloading(tmp_path, FakeRuntime(), "net") as preload:
            await reason_contains(preload, "no model 'net' is published here")
            publish(tmp_path, "net", 1)
            await becomes_ready(preload)

    asyncio.run(scenario())


def test_a_model_that_cannot_be_loaded_is_not_ready_until_a_later_attempt_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(embedded, "RETRY_SECONDS", 0.05)

    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        runtime = FakeRuntime(broken={1})
        async with preloading(tmp_path, runtime, "net") as preload:
            await reason_contains(preload, "version 1 of net cannot be loaded: the engine cannot read its graph")
            await eventually(lambda: asyncio.sleep(0, runtime.loads.count("net/1") > 2))
            assert preload.not_ready_reason() is not None
            runtime.broken.clear()
            await becomes_ready(preload)

    asyncio.run(scenario())
    lines = [record for record in caplog.records if record.name == "serving.core.preload"]
    assert [line.levelno for line in lines] == [logging.ERROR]  # once, not at each attempt


def test_an_older_version_that_can_be_loaded_makes_the_gateway_ready(tmp_path: Path) -> None:
    async def scenario() -> None:
        for version in (1, 2):
            publish(tmp_path, "net", version)
        async with preloading(tmp_path, FakeRuntime(broken={2}), "net") as preload:
            await becomes_ready(preload)

    asyncio.run(scenario())


def test_an_unexpected_failure_is_retried_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        publish(tmp_path, "net", 1)
        acquire, failures = EmbeddedEngine.acquire, iter([OSError("out of memory at /secret/path"), None])

        async def sometimes(engine: EmbeddedEngine, spec: object) -> object:
            if error := next(failures, None):
                raise error
            return await acquire(engine, spec)  # type: ignore[arg-type]

        monkeypatch.setattr(EmbeddedEngine, "acquire", sometimes)
        async with preloading(tmp_path, FakeRuntime(), "net") as preload:
            await becomes_ready(preload)

    asyncio.run(scenario())
