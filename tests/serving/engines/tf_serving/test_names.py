"""Servers are found by name: one name in trouble takes nothing from the others."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from serving.engines.tf_serving.names import Target
from tests.support.fake_runtime import eventually
from tests.support.fake_server import FakeServer
from tests.support.tf_serving_engine import predicted_version, started

OTHER = Target("other", 8500)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up at each poll."""
    monkeypatch.setattr("serving.engines.tf_serving.names.RESOLVE_SECONDS", 0.0)


class NameService:
    """Answers for `OTHER`, for which a poll waits 0.05 s; other names are addresses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: Exception | None = None
        self.hangs = False
        self.addresses: frozenset[str] = frozenset()
        self.lookups = 0

        async def answer(target: Target) -> frozenset[str]:
            if target != OTHER:
                return frozenset({f"ipv4:{target}"})
            self.lookups += 1
            if self.hangs:
                await asyncio.sleep(3600)
            if self.error:
                raise self.error
            return self.addresses

        monkeypatch.setattr(Target, "addresses", answer)
        monkeypatch.setattr("serving.engines.tf_serving.names.RESOLVE_TIMEOUT", 0.05)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> NameService:
    return NameService(monkeypatch)


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), OSError("no route"), None])
def test_a_name_that_does_not_resolve_takes_nothing_from_the_others(
    repository: Path, names: NameService, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    names.error, names.hangs = error, error is None  # None: the name service does not answer

    async def scenario() -> None:
        async with started(repository, FakeServer(), others=[OTHER]) as engine:
            for _ in range(5):
                assert await predicted_version(engine) == 1
                await asyncio.sleep(0.03)
            dead = [status for status in engine.backends() if not status.is_up]
            assert [status.address for status in dead] == ["dns:other:8500"]  # an alert can name it

    asyncio.run(scenario())
    (message,) = (record.getMessage() for record in caplog.records if "resolved" in record.getMessage())
    assert message.startswith("the backend name other:8500 cannot be resolved")


@pytest.mark.parametrize("name", ["a..b", "x" * 64])
def test_a_text_that_cannot_be_a_host_name_takes_nothing_from_the_others(repository: Path, name: str) -> None:
    async def scenario() -> None:
        async with started(repository, FakeServer(), others=[Target(name, 8500)]) as engine:
            assert await predicted_version(engine) == 1

    asyncio.run(scenario())


def test_a_name_service_that_hangs_is_asked_once(repository: Path, names: NameService) -> None:
    names.hangs = True

    async def scenario() -> None:
        async with started(repository, FakeServer(), others=[OTHER]) as engine:
            await asyncio.sleep(0.3)
            assert await predicted_version(engine) == 1
        assert names.lookups == 1

    asyncio.run(scenario())


def test_the_known_servers_of_a_name_stay_while_it_cannot_be_resolved(
    repository: Path, names: NameService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "serving.engines.tf_serving.names")

    async def scenario() -> None:
        one, two = FakeServer(), FakeServer()
        await two.start()
        names.addresses = frozenset({f"ipv4:127.0.0.1:{two.port}"})
        async with started(repository, one, others=[OTHER]) as engine:
            names.error = socket.gaierror(-3, "Temporary failure in name resolution")
            before = names.lookups
            await eventually(lambda: asyncio.sleep(0, names.lookups >= before + 3))
            for _ in range(10):
                assert await predicted_version(engine) == 1
            assert (len(one.requests), len(two.requests)) == (5, 5)
            names.error, names.addresses = None, frozenset()  # scaled down to no server
            await eventually(lambda: asyncio.sleep(0, "dns:other:8500" in {s.address for s in engine.backends()}))
            assert await predicted_version(engine) == 1
        await two.stop()

    asyncio.run(scenario())
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(":")[0] for message in messages] == ["the backend name other"] * 2
    assert "known servers: ipv4:127.0.0.1" in messages[0]
    assert messages[1].endswith("is resolved again")
