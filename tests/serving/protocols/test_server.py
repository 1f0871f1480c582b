"""What the server does at its ticks: new settings, and checks of its connections."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Receive, Scope, Send

from serving.protocols import server as server_module
from serving.protocols.connections import ConnectionLimits
from serving.protocols.server import TICKS_PER_SECOND, create_server


async def application(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer nothing: these tests send no requests."""


def test_a_reload_that_fails_does_not_end_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async def reload() -> None:
        raise OverflowError("a number that is too large")

    limits = ConnectionLimits(connections=1, head_seconds=1, answer_seconds=1)
    server = create_server(application, limits, shutdown_timeout=1, on_reload=reload)
    server.reload()
    assert not asyncio.run(server.on_tick(1))
    assert "the new settings cannot be taken" in caplog.text


def test_connections_are_checked_in_ten_parts_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "PAUSE_SECONDS", 0.0)

    class Checked:
        checks = 0

        def check(self) -> None:
            self.checks += 1

    async def checks_by_tick() -> list[int]:
        sums = []
        for number in range(2 * TICKS_PER_SECOND):
            await server.on_tick(number)
            sums.append(sum(connection.checks for connection in connections))
        return sums

    server = create_server(
        application, ConnectionLimits(connections=1, head_seconds=1, answer_seconds=1), shutdown_timeout=1
    )
    connections = [Checked() for _ in range(995)]
    server.server_state.connections = set(connections)  # type: ignore[arg-type]
    sums = asyncio.run(checks_by_tick())
    assert sums == [*range(100, 1000, 100), 995, *range(1095, 1995, 100), 1990]
    assert {connection.checks for connection in connections} == {2}
