"""The TensorFlow Serving engine with fake servers: load balancing, version selection, retries."""

from __future__ import annotations

import asyncio
import functools
import socket
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from keras_archs.repository import models_config
from serving.core.access import Caller
from serving.core.engine import State, VersionUnloadedError
from serving.core.errors import BackendUnavailableError, DeadlineExceededError, ModelUnavailableError
from serving.core.repository import ModelSpec
from serving.engines.tf_serving import TfServingEngine, messages
from serving.engines.tf_serving.names import Target
from serving.engines.tf_serving.pool import BackendPool
from serving.engines.tf_serving.protos import (
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
    PredictRequest,
    PredictResponse,
)
from tests.support.fake_runtime import eventually
from tests.support.fake_server import AVAILABLE, FakeServer, tensor
from tests.support.tf_serving_engine import IMAGES, NET, connect, predicted_version, started

LOADING = ModelVersionStatus.LOADING


def states(engine: TfServingEngine) -> dict[int, State]:
    return {status.version: status.state for status in engine.model_statuses()["net"]}


def test_requests_go_round_robin(repository: Path) -> None:
    async def scenario() -> None:
        servers = [FakeServer() for _ in range(3)]
        async with started(repository, *servers) as engine:
            for _ in range(30):
                assert await predicted_version(engine) == 1
        assert [len(server.requests) for server in servers] == [10] * 3

    asyncio.run(scenario())


def test_images_are_sent_as_tensor_content_and_answers_may_use_either_encoding(repository: Path) -> None:
    async def scenario(packed: bool) -> None:
        server = FakeServer(packed=packed)
        async with started(repository, server) as engine:
            assert await predicted_version(engine) == 1
        (request,) = server.requests
        assert request.inputs["images"].tensor_content == IMAGES.tobytes()
        assert request.ByteSize() < IMAGES.nbytes + 200

    for packed in (True, False):
        asyncio.run(scenario(packed))


@pytest.mark.parametrize("packed", [True, False])
def test_explanations_use_the_explain_signature(repository: Path, packed: bool) -> None:
    async def scenario() -> None:
        server = FakeServer(packed=packed)
        async with started(repository, server) as engine:
            model = await engine.acquire(NET)
            classes = np.array([4, 5, 6], np.int64)
            prediction = await model.explain(IMAGES, classes, asyncio.get_running_loop().time() + 10, Caller("a"))
        maps = prediction.activation_maps
        assert maps.chosen.tolist() == [4, 5, 6]
        assert maps.maps.shape == (3, 2, 3)
        assert maps.maps[:, 1, 2].tolist() == [4, 5, 6]
        assert maps.probabilities[0].argmax() == 1
        (request,) = server.requests
        assert request.model_spec.signature_name == "explain"

    asyncio.run(scenario())


@pytest.mark.parametrize("packed", [True, False])
def test_answers_above_grpcs_default_limit_of_4_mb_are_received(repository: Path, packed: bool) -> None:
    values = np.random.default_rng(0).random((300, 4000), np.float32)
    assert values.nbytes > 4_194_304

    async def scenario() -> None:
        server = FakeServer()
        async with started(repository, server):

            async def large(request: PredictRequest, context: grpc.aio.ServicerContext) -> PredictResponse:
                return PredictResponse(outputs={"probabilities": tensor(values, packed=packed)})

            server._predict = large  # type: ignore[method-assign]
            await server.stop()
            await server.start()
            backend = connect(f"ipv4:127.0.0.1:{server.port}", "127.0.0.1")
            request = messages.predict_request("net", 1, IMAGES)
            deadline = asyncio.get_running_loop().time() + 30
            parse = functools.partial(messages.probabilities, images=300, classes=4000)
            answer = await backend.predict(request, parse, deadline=deadline)
            np.testing.assert_array_equal(answer, values)
            await backend.close()

    asyncio.run(scenario())


def test_a_new_version_becomes_current_when_every_server_has_loaded_it(repository: Path) -> None:
    async def scenario() -> None:
        one, two = FakeServer(), FakeServer()
        async with started(repository, one, two) as engine:
            one.states = {1: AVAILABLE, 2: AVAILABLE}
            two.states = {1: AVAILABLE, 2: LOADING}
            await eventually(lambda: asyncio.sleep(0, states(engine) == {1: State.READY, 2: State.READY}))
            assert await predicted_version(engine) == 1
            assert (
                await predicted_version(engine, ModelSpec("net", version=2)) == 2
            )  # selected by number, the server that has loaded it answers
            two.states = {1: AVAILABLE, 2: AVAILABLE}
            await eventually(lambda: becomes(engine, 2))
            two.states = {1: AVAILABLE, 2: LOADING}  # as after a restart
            for _ in range(20):
                assert await predicted_version(engine) == 2
                await asyncio.sleep(0.01)

    async def becomes(engine: TfServingEngine, version: int) -> bool:
        return await predicted_version(engine) == version

    asyncio.run(scenario())


def test_an_unselected_version_answers_until_the_selected_one_is_loaded(repository: Path) -> None:
    with models_config.edited(repository) as config:
        policy = models_config.read_policy("latest=1")
        models_config.include(config, repository, "net").model_version_policy.CopyFrom(policy)

    async def scenario() -> None:
        server = FakeServer({1: AVAILABLE, 2: LOADING})
        async with started(repository, server, poll_seconds=60) as engine:
            assert states(engine) == {2: State.LOADING}
            assert await predicted_version(engine) == 1
            old = await engine.acquire(NET)
            server.states = {2: AVAILABLE}  # replaced between two polls
            with pytest.raises(VersionUnloadedError):
                await old.predict(IMAGES, asyncio.get_running_loop().time() + 10, Caller("a"))
            assert await predicted_version(engine) == 2

    asyncio.run(scenario())


def test_a_version_that_was_loaded_since_the_last_poll_answers(repository: Path) -> None:
    async def scenario() -> None:
        server = FakeServer({1: LOADING, 2: LOADING})
        async with started(repository, server, poll_seconds=60) as engine:
            with pytest.raises(ModelUnavailableError, match="not loaded yet"):
                await engine.acquire(NET)
            server.states = {2: AVAILABLE}
            assert await predicted_version(engine) == 2

    asyncio.run(scenario())


def test_the_next_server_answers_when_one_has_unloaded_the_version(repository: Path) -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        async with started(repository, *servers) as engine:
            servers[0]._status = servers[1]._status  # type: ignore[method-assign]
            model = await engine.acquire(NET)
            servers[0].states = {}
            deadline = asyncio.get_running_loop().time() + 10
            answers = await asyncio.gather(*(model.predict(IMAGES, deadline, Caller("a")) for _ in range(10)))
            assert {int(answer.probabilities[0].argmax()) for answer in answers} == {1}

    asyncio.run(scenario())


def test_a_request_that_could_not_be_sent_is_retried(repository: Path) -> None:
    async def scenario() -> None:
        server = FakeServer()
        async with started(repository, server, poll_seconds=60) as engine:
            model = await engine.acquire(NET)
            await server.stop()
            prediction = asyncio.create_task(model.predict(IMAGES, asyncio.get_running_loop().time() + 10, Caller("a")))
            await asyncio.sleep(0)
            await server.start()
            assert (await prediction).probabilities[0].argmax() == 1
        assert len(server.requests) == 1

    asyncio.run(scenario())


def test_a_sent_request_is_never_retried(repository: Path) -> None:
    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]

        async def die(_: PredictRequest, context: grpc.aio.ServicerContext) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

        for server in servers:
            server.answer = die
        async with started(repository, *servers) as engine:
            with pytest.raises(BackendUnavailableError, match="during the call"):
                await predicted_version(engine)
        assert sum(len(server.requests) for server in servers) == 1

    asyncio.run(scenario())


def test_the_deadline_is_propagated_to_the_server(repository: Path) -> None:
    remaining: list[float] = []

    async def scenario() -> None:
        async def measure(_: PredictRequest, context: grpc.aio.ServicerContext) -> None:
            remaining.append(context.time_remaining())
            await asyncio.sleep(30)

        async with started(repository, FakeServer(answer=measure)) as engine:
            with pytest.raises(DeadlineExceededError):
                await predicted_version(engine, deadline=asyncio.get_running_loop().time() + 0.5)

    asyncio.run(scenario())
    assert 0 < remaining[0] < 1


def test_servers_follow_the_addresses_of_their_name(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.engines.tf_serving.names.RESOLVE_SECONDS", 0.0)
    addresses: list[str] = []

    async def scenario() -> None:
        servers = [FakeServer(), FakeServer()]
        for server in servers:
            await server.start()
        addresses.append(f"ipv4:127.0.0.1:{servers[0].port}")

        async def addresses_of(_: Target) -> set[str]:
            if not addresses:
                raise socket.gaierror("no such name")
            return set(addresses)

        monkeypatch.setattr(Target, "addresses", addresses_of)
        pool = BackendPool([Target("headless", 8500)], connect)
        engine = TfServingEngine(repository, pool, poll_seconds=0.02)
        await engine.start()
        try:
            assert await predicted_version(engine) == 1
            addresses.append(f"ipv4:127.0.0.1:{servers[1].port}")

            async def both_called() -> bool:
                await predicted_version(engine)
                return all(server.requests for server in servers)

            await eventually(both_called)
            del addresses[0]

            async def first_removed() -> bool:
                return [backend.address for backend in pool] == addresses

            await eventually(first_removed)
            assert await predicted_version(engine) == 1
            addresses.clear()  # a failed look-up removes no server
            await asyncio.sleep(0.1)
            assert await predicted_version(engine) == 1
        finally:
            await engine.close()
            for server in servers:
                await server.stop()

    asyncio.run(scenario())


def test_a_model_that_does_not_match_its_card_is_not_served(repository: Path) -> None:
    async def scenario() -> None:
        async with started(repository, FakeServer(input_shape=(-1, 224, 224, 3))) as engine:
            (first, _) = engine.model_statuses()["net"]
            assert first.state == State.FAILED
            assert first.error is not None and "[-1, 224, 224, 3]" in first.error
            with pytest.raises(ModelUnavailableError, match="the card says"):
                await engine.acquire(ModelSpec("net", version=1))
            assert engine.not_ready_reason() == "no inference server has loaded a model yet"

    asyncio.run(scenario())


def test_a_version_that_all_servers_fail_to_load_is_failed(repository: Path) -> None:
    async def scenario() -> None:
        server = FakeServer()
        async with started(repository, server) as engine:

            async def failed(request: GetModelStatusRequest, context: Any) -> GetModelStatusResponse:
                response = GetModelStatusResponse()
                status = response.model_version_status.add(version=2, state=ModelVersionStatus.END)
                status.status.error_code, status.status.error_message = 2, "cannot parse /models/net/2/saved_model.pb"
                response.model_version_status.add(version=1, state=AVAILABLE)
                return response

            server._status = failed  # type: ignore[method-assign]
            await server.stop()
            await server.start()
            await eventually(lambda: asyncio.sleep(0, states(engine) == {1: State.READY, 2: State.FAILED}))
            with pytest.raises(ModelUnavailableError) as raised:
                await engine.acquire(ModelSpec("net", version=2))
            assert "/models" not in str(raised.value)

    asyncio.run(scenario())
