"""Dead and hanging servers get no requests; a client's short timeout does not prove that a server hangs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from serving.core.engine import BackendStatus
from serving.core.errors import BackendUnavailableError, DeadlineExceededError, ServingError
from serving.engines.tf_serving import TfServingEngine
from serving.engines.tf_serving.names import Target
from serving.engines.tf_serving.protos import PredictRequest
from tests.support.clock import Clock
from tests.support.fake_runtime import eventually
from tests.support.fake_server import FakeServer
from tests.support.tf_serving_engine import predicted_version, started


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway sends a prediction of its own after 0.05 s without an answer."""
    monkeypatch.setattr("serving.engines.tf_serving.backend.SUSPICIOUS_SECONDS", 0.05)


class Delay:
    """An answer that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __call__(self, request: PredictRequest, context: grpc.aio.ServicerContext) -> None:
        await asyncio.sleep(self.seconds)


async def outcomes(engine: TfServingEngine, requests: int, *, within: float) -> list[type[Exception] | None]:
    """Send requests one after the other, each with a deadline in seconds; return the error of each."""
    results: list[type[Exception] | None] = []
    for _ in range(requests):
        try:
            await predicted_version(engine, deadline=asyncio.get_running_loop().time() + within)
            results.append(None)
        except (DeadlineExceededError, BackendUnavailableError) as error:
            results.append(type(error))
    return results


def status(engine: TfServingEngine, server: FakeServer) -> BackendStatus:
    (found,) = (backend for backend in engine.backends() if backend.address.endswith(f":{server.port}"))
    return found


@asynccontextmanager
async def left_out(repository: Path, *, within: float) -> AsyncIterator[tuple[TfServingEngine, FakeServer, Delay]]:
    """Run a sound server and one that hangs, until requests with this deadline have shown it."""
    delay = Delay(3600)
    sound, hanging = FakeServer(), FakeServer(answer=delay)
    async with started(repository, sound, hanging, patience=0.3) as engine:

        async def is_open() -> bool:
            await outcomes(engine, 2, within=within)
            return status(engine, hanging).circuit_open

        await eventually(is_open)
        yield engine, hanging, delay


@pytest.mark.parametrize("timeout", [0.02, 0.5])  # seconds: shorter and longer than the gateway waits for its own
def test_a_server_whose_predictions_hang_gets_no_requests(repository: Path, timeout: float) -> None:
    async def scenario() -> None:
        async with left_out(repository, within=timeout) as (engine, hanging, _):
            assert await outcomes(engine, 30, within=5) == [None] * 30
            assert status(engine, hanging).is_up  # successful status polls do not close the circuit
            assert status(engine, hanging).circuit_open
            assert 0 < status(engine, hanging).failures <= status(engine, hanging).calls

    asyncio.run(scenario())


def test_clients_that_leave_before_an_answer_show_a_hanging_server_too(repository: Path) -> None:
    async def scenario() -> None:
        hanging = FakeServer(answer=Delay(3600))
        async with started(repository, hanging, patience=0.3) as engine:
            request = asyncio.create_task(predicted_version(engine))
            await asyncio.sleep(0.02)
            request.cancel()
            await eventually(lambda: asyncio.sleep(0, status(engine, hanging).circuit_open))
            assert await outcomes(engine, 1, within=5) == [BackendUnavailableError]

    asyncio.run(scenario())


def test_a_server_that_answers_again_gets_requests_again(repository: Path) -> None:
    async def scenario() -> None:
        async with left_out(repository, within=0.5) as (engine, hanging, delay):
            delay.seconds = 0
            await eventually(lambda: asyncio.sleep(0, not status(engine, hanging).circuit_open))
            before = len(hanging.requests)
            assert await outcomes(engine, 10, within=5) == [None] * 10
            assert len(hanging.requests) == before + 5

    asyncio.run(scenario())


def test_a_server_that_hung_gets_requests_again_after_a_restart(repository: Path) -> None:
    async def scenario() -> None:
        async with left_out(repository, within=0.5) as (engine, hanging, delay):
            await hanging.stop()
            await eventually(lambda: asyncio.sleep(0, not status(engine, hanging).is_up))
            delay.seconds = 0
            await hanging.start()
            before = len(hanging.requests)

            async def is_called() -> bool:
                assert await outcomes(engine, 2, within=5) == [None, None]
                return len(hanging.requests) > before

            await eventually(is_called)

    asyncio.run(scenario())


def test_clients_with_timeouts_that_are_too_short_do_not_open_the_circuit(repository: Path) -> None:
    async def scenario() -> None:
        slow = FakeServer(answer=Delay(0.1))
        async with started(repository, slow) as engine:
            assert set(await outcomes(engine, 50, within=0.02)) == {DeadlineExceededError}
            assert not status(engine, slow).circuit_open
            assert status(engine, slow).failures == 0
            assert await outcomes(engine, 1, within=5) == [None]

    asyncio.run(scenario())


def test_a_dead_server_is_down_although_no_model_is_published(tmp_path: Path) -> None:
    async def scenario() -> None:
        sound, dead = FakeServer({}), FakeServer({})
        async with started(tmp_path, sound, dead) as engine:
            assert [backend.is_up for backend in engine.backends()] == [True, True]
            await dead.stop()
            await eventually(lambda: asyncio.sleep(0, not status(engine, dead).is_up))
            assert status(engine, sound).is_up
            await sound.stop()
            await eventually(lambda: asyncio.sleep(0, not status(engine, sound).is_up))
            await asyncio.gather(sound.start(), dead.start())
            await eventually(lambda: asyncio.sleep(0, status(engine, sound).is_up))

    asyncio.run(scenario())


def test_a_server_that_was_dead_from_the_start_is_down_although_no_model_is_published(tmp_path: Path) -> None:
    async def scenario() -> None:
        dead = FakeServer()
        await dead.start()
        await dead.stop()
        async with started(tmp_path, others=[Target("127.0.0.1", dead.port)]) as engine:
            assert not status(engine, dead).is_up

    asyncio.run(scenario())


def test_a_server_that_answers_no_status_polls_is_down_until_it_answers_again(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.engines.tf_serving.backend.STATUS_TIMEOUT", 0.5)

    async def scenario() -> None:
        server = FakeServer()
        async with started(repository, server) as engine:
            assert await outcomes(engine, 1, within=5) == [None]
            server.status_delay = 3600
            await eventually(lambda: asyncio.sleep(0, not status(engine, server).is_up))
            assert engine.not_ready_reason() == "no inference server answers"
            assert await outcomes(engine, 1, within=5) == [BackendUnavailableError]
            server.status_delay = 0
            await eventually(lambda: asyncio.sleep(0, engine.not_ready_reason() is None))
            assert await outcomes(engine, 1, within=5) == [None]

    asyncio.run(scenario())


def test_repeated_failures_open_the_circuit_until_a_trial_call_succeeds(repository: Path, clock: Clock) -> None:
    async def fail(request: PredictRequest, context: grpc.aio.ServicerContext) -> None:
        await context.abort(grpc.StatusCode.INTERNAL, "a kernel failed")

    async def scenario() -> None:
        server = FakeServer(answer=fail)
        async with started(repository, server) as engine:
            for _ in range(5):
                with pytest.raises(ServingError, match="the inference server failed"):
                    await predicted_version(engine)
            assert await outcomes(engine, 1, within=5) == [BackendUnavailableError]
            assert (status(engine, server).circuit_open, status(engine, server).failures) == (True, 5)
            server.answer = None
            clock.now += 6
            assert await outcomes(engine, 2, within=5) == [None, None]
            assert (status(engine, server).circuit_open, status(engine, server).calls) == (False, 7)

    asyncio.run(scenario())
