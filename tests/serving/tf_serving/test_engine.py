"""The engine before servers that do as they are told: which one is asked, which version answers, when to try again."""

from __future__ import annotations

import asyncio
import functools
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from numpy.typing import NDArray

from keras_archs import models_config
from serving.engines import State, VersionGoneError
from serving.engines.tf_serving import TfServingEngine, messages
from serving.engines.tf_serving.backend import Backend
from serving.engines.tf_serving.breaker import CircuitBreaker, RetryBudget
from serving.engines.tf_serving.pool import BackendPool, Target
from serving.engines.tf_serving.protos import (
    DT_FLOAT,
    DT_INT64,
    DT_UINT8,
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelVersionStatus,
    PredictRequest,
    PredictResponse,
    SignatureDefMap,
    TensorProto,
    TensorShapeProto,
)
from serving.errors import BackendUnavailableError, DeadlineExceededError, ModelUnavailableError
from serving.repository import ModelSpec
from tests.serving.test_embedded_engine import eventually, publish

NET = ModelSpec("net")
IMAGES = np.zeros((3, 8, 8, 3), np.uint8)
CLASSES = 20  # of `publish`
AVAILABLE, LOADING = ModelVersionStatus.AVAILABLE, ModelVersionStatus.LOADING


def tensor(values: NDArray[Any], *, packed: bool) -> TensorProto:
    shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in values.shape])
    dtype, repeated = (DT_INT64, "int64_val") if values.dtype == np.int64 else (DT_FLOAT, "float_val")
    values = values if dtype == DT_INT64 else values.astype(np.float32)
    content: dict[str, Any] = {"tensor_content": values.tobytes()} if packed else {repeated: values.ravel().tolist()}
    return TensorProto(dtype=dtype, tensor_shape=shape, **content)


@dataclass
class ObedientServer:
    """Has the versions of `net` that it is told to have, and answers with the version, one-hot."""

    states: dict[int, int] = field(default_factory=lambda: {1: AVAILABLE})
    input_shape: tuple[int, ...] = (-1, 8, 8, 3)
    packed: bool = True
    answer: Callable[[PredictRequest, grpc.aio.ServicerContext], Any] | None = None
    requests: list[PredictRequest] = field(default_factory=list)
    port: int = 0
    _server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listens, on the port that it had before if there was one."""
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        for service, methods in {
            "tensorflow.serving.PredictionService": {
                "Predict": (self._predict, PredictRequest, PredictResponse),
                "GetModelMetadata": (self._metadata, GetModelMetadataRequest, GetModelMetadataResponse),
            },
            "tensorflow.serving.ModelService": {
                "GetModelStatus": (self._status, GetModelStatusRequest, GetModelStatusResponse)
            },
        }.items():
            handlers = {
                name: grpc.unary_unary_rpc_method_handler(method, request.FromString, response.SerializeToString)
                for name, (method, request, response) in methods.items()
            }
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        await self._server.start()

    async def stop(self) -> None:
        """Cuts every connection and refuses more."""
        assert self._server is not None
        await self._server.stop(None)

    async def _predict(self, request: PredictRequest, context: grpc.aio.ServicerContext) -> PredictResponse:
        self.requests.append(request)
        if self.answer:
            await self.answer(request, context)
        version = request.model_spec.version.value
        if self.states.get(version) != AVAILABLE:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific(net, {version})")
        images = request.inputs["images"].tensor_shape.dim[0].size
        values = np.eye(CLASSES, dtype=np.float32)[[version] * images]
        outputs: dict[str, NDArray[Any]] = {"probabilities": values}
        if request.model_spec.signature_name == "explain":
            chosen = np.frombuffer(request.inputs["classes"].tensor_content, np.int64)
            outputs |= {"chosen": chosen, "maps": np.ones((images, 2, 3), np.float32) * chosen[:, None, None]}
        return PredictResponse(outputs={name: tensor(value, packed=self.packed) for name, value in outputs.items()})

    async def _status(
        self, request: GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> GetModelStatusResponse:
        response = GetModelStatusResponse()
        for version, state in self.states.items():
            response.model_version_status.add(version=version, state=state)
        if not self.states:
            await context.abort(grpc.StatusCode.NOT_FOUND, "Could not find any versions of model net")
        return response

    async def _metadata(
        self, request: GetModelMetadataRequest, context: grpc.aio.ServicerContext
    ) -> GetModelMetadataResponse:
        signatures = SignatureDefMap()
        signature = signatures.signature_def["serving_default"]
        signature.inputs["images"].dtype = DT_UINT8
        for size in self.input_shape:
            signature.inputs["images"].tensor_shape.dim.add(size=size)
        for size in (-1, CLASSES):
            signature.outputs["probabilities"].tensor_shape.dim.add(size=size)
        response = GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(signatures)
        return response


def connect(address: str, host: str) -> Backend:
    return Backend(address, host=host, tls=None, max_message_bytes=64_000_000)


@asynccontextmanager
async def started(
    repository: Path, *servers: ObedientServer, poll_seconds: float = 0.02
) -> AsyncIterator[TfServingEngine]:
    """An engine before these servers, which are ended with it."""
    for server in servers:
        await server.start()
    pool = BackendPool([Target("127.0.0.1", server.port) for server in servers], connect)
    engine = TfServingEngine(repository, pool, poll_seconds=poll_seconds)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()
        for server in servers:
            await server.stop()


async def answering(engine: TfServingEngine, spec: ModelSpec = NET, deadline: float = math.inf) -> int:
    model = await engine.acquire(spec)
    prediction = await model.predict(IMAGES, min(deadline, asyncio.get_running_loop().time() + 10))
    assert prediction.probabilities.shape == (len(IMAGES), CLASSES)
    assert prediction.probabilities[-1].argmax() == model.version
    return model.version


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Versions 1 and 2 of `net`, all of them served."""
    for version in (1, 2):
        publish(tmp_path, "net", version)
    with models_config.edited(tmp_path):
        pass
    return tmp_path


def states(engine: TfServingEngine) -> dict[int, State]:
    return {status.version: status.state for status in engine.models()["net"]}


def test_servers_are_asked_by_turns(repository: Path) -> None:
    async def scenario() -> None:
        servers = [ObedientServer() for _ in range(3)]
        async with started(repository, *servers) as engine:
            for _ in range(30):
                assert await answering(engine) == 1
        assert [len(server.requests) for server in servers] == [10] * 3

    asyncio.run(scenario())


def test_images_travel_packed_and_answers_may_be_packed_or_not(repository: Path) -> None:
    async def scenario(packed: bool) -> None:
        server = ObedientServer(packed=packed)
        async with started(repository, server) as engine:
            assert await answering(engine) == 1
        (request,) = server.requests
        assert request.inputs["images"].tensor_content == IMAGES.tobytes()
        assert request.ByteSize() < IMAGES.nbytes + 200

    for packed in (True, False):
        asyncio.run(scenario(packed))


@pytest.mark.parametrize("packed", [True, False])
def test_explanations_are_asked_for_by_their_signature(repository: Path, packed: bool) -> None:
    async def scenario() -> None:
        server = ObedientServer(packed=packed)
        async with started(repository, server) as engine:
            model = await engine.acquire(NET)
            wanted = np.array([4, 5, 6], np.int64)
            found = (await model.explain(IMAGES, wanted, asyncio.get_running_loop().time() + 10)).found
        assert found.chosen.tolist() == [4, 5, 6]
        assert found.maps.shape == (3, 2, 3)
        assert found.maps[:, 1, 2].tolist() == [4, 5, 6]
        assert found.probabilities[0].argmax() == 1
        (request,) = server.requests
        assert request.model_spec.signature_name == "explain"

    asyncio.run(scenario())


@pytest.mark.parametrize("packed", [True, False])
def test_answers_of_more_than_grpcs_four_megabytes_are_received(repository: Path, packed: bool) -> None:
    values = np.random.default_rng(0).random((300, 4000), np.float32)
    assert values.nbytes > 4_194_304

    async def scenario() -> None:
        server = ObedientServer()
        async with started(repository, server):

            async def large(request: PredictRequest, context: grpc.aio.ServicerContext) -> PredictResponse:
                return PredictResponse(outputs={"probabilities": tensor(values, packed=packed)})

            server._predict = large  # type: ignore[method-assign]
            await server.stop()
            await server.start()
            backend = connect(f"ipv4:127.0.0.1:{server.port}", "127.0.0.1")
            request = messages.predict_request("net", 1, IMAGES)
            deadline = asyncio.get_running_loop().time() + 30
            read = functools.partial(messages.probabilities, images=300, classes=4000)
            answer = await backend.predict(request, read, deadline=deadline)
            np.testing.assert_array_equal(answer, values)
            await backend.close()

    asyncio.run(scenario())


def test_a_new_version_takes_over_when_every_server_has_it(repository: Path) -> None:
    async def scenario() -> None:
        one, two = ObedientServer(), ObedientServer()
        async with started(repository, one, two) as engine:
            one.states = {1: AVAILABLE, 2: AVAILABLE}
            two.states = {1: AVAILABLE, 2: LOADING}
            await eventually(lambda: asyncio.sleep(0, states(engine) == {1: State.READY, 2: State.READY}))
            assert await answering(engine) == 1
            assert await answering(engine, ModelSpec("net", version=2)) == 2  # asked for, the one that has it answers
            two.states = {1: AVAILABLE, 2: AVAILABLE}
            await eventually(lambda: becomes(engine, 2))
            two.states = {1: AVAILABLE, 2: LOADING}  # as after a restart
            for _ in range(20):
                assert await answering(engine) == 2
                await asyncio.sleep(0.01)

    async def becomes(engine: TfServingEngine, version: int) -> bool:
        return await answering(engine) == version

    asyncio.run(scenario())


def test_the_old_version_answers_until_the_only_one_that_is_to_be_served_is_loaded(repository: Path) -> None:
    with models_config.edited(repository) as config:
        policy = models_config.read_policy("latest=1")
        models_config.include(config, repository, "net").model_version_policy.CopyFrom(policy)

    async def scenario() -> None:
        server = ObedientServer({1: AVAILABLE, 2: LOADING})
        async with started(repository, server, poll_seconds=60) as engine:
            assert states(engine) == {2: State.LOADING}
            assert await answering(engine) == 1
            old = await engine.acquire(NET)
            server.states = {2: AVAILABLE}  # swapped between two looks
            with pytest.raises(VersionGoneError):
                await old.predict(IMAGES, asyncio.get_running_loop().time() + 10)
            assert await answering(engine) == 2

    asyncio.run(scenario())


def test_a_server_that_no_longer_has_the_version_sends_on_to_the_next(repository: Path) -> None:
    async def scenario() -> None:
        servers = [ObedientServer(), ObedientServer()]
        async with started(repository, *servers) as engine:
            servers[0]._status = servers[1]._status  # type: ignore[method-assign]
            model = await engine.acquire(NET)
            servers[0].states = {}
            deadline = asyncio.get_running_loop().time() + 10
            answers = await asyncio.gather(*(model.predict(IMAGES, deadline) for _ in range(10)))
            assert {int(answer.probabilities[0].argmax()) for answer in answers} == {1}

    asyncio.run(scenario())


def test_what_could_not_be_sent_is_tried_again(repository: Path) -> None:
    async def scenario() -> None:
        server = ObedientServer()
        async with started(repository, server, poll_seconds=60) as engine:
            model = await engine.acquire(NET)
            await server.stop()
            asked = asyncio.create_task(model.predict(IMAGES, asyncio.get_running_loop().time() + 10))
            await asyncio.sleep(0)
            await server.start()
            assert (await asked).probabilities[0].argmax() == 1
        assert len(server.requests) == 1

    asyncio.run(scenario())


def test_what_was_sent_is_not_sent_again(repository: Path) -> None:
    async def scenario() -> None:
        servers = [ObedientServer(), ObedientServer()]

        async def die(_: PredictRequest, context: grpc.aio.ServicerContext) -> None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")

        for server in servers:
            server.answer = die
        async with started(repository, *servers) as engine:
            with pytest.raises(BackendUnavailableError, match="while it computed"):
                await answering(engine)
        assert sum(len(server.requests) for server in servers) == 1

    asyncio.run(scenario())


def test_the_server_is_told_the_clients_deadline(repository: Path) -> None:
    remaining: list[float] = []

    async def scenario() -> None:
        async def measure(_: PredictRequest, context: grpc.aio.ServicerContext) -> None:
            remaining.append(context.time_remaining())
            await asyncio.sleep(30)

        async with started(repository, ObedientServer(answer=measure)) as engine:
            with pytest.raises(DeadlineExceededError):
                await answering(engine, deadline=asyncio.get_running_loop().time() + 0.5)

    asyncio.run(scenario())
    assert 0 < remaining[0] < 1


def test_servers_that_scaling_out_adds_are_found_and_those_that_go_are_left(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.engines.tf_serving.pool.RESOLVE_SECONDS", 0.0)
    addresses: list[str] = []

    async def scenario() -> None:
        servers = [ObedientServer(), ObedientServer()]
        for server in servers:
            await server.start()
        addresses.append(f"ipv4:127.0.0.1:{servers[0].port}")

        async def resolved(_: Target) -> set[str]:
            if not addresses:
                raise socket.gaierror("no such name")
            return set(addresses)

        monkeypatch.setattr(Target, "addresses", resolved)
        pool = BackendPool([Target("headless", 8500)], connect)
        engine = TfServingEngine(repository, pool, poll_seconds=0.02)
        await engine.start()
        try:
            assert await answering(engine) == 1
            addresses.append(f"ipv4:127.0.0.1:{servers[1].port}")

            async def both_asked() -> bool:
                await answering(engine)
                return all(server.requests for server in servers)

            await eventually(both_asked)
            del addresses[0]

            async def one_left() -> bool:
                return [backend.address for backend in pool] == addresses

            await eventually(one_left)
            assert await answering(engine) == 1
            addresses.clear()  # a name server that fails takes no server away
            await asyncio.sleep(0.1)
            assert await answering(engine) == 1
        finally:
            await engine.close()
            for server in servers:
                await server.stop()

    asyncio.run(scenario())


def test_a_model_that_is_not_the_published_one_is_not_served(repository: Path) -> None:
    async def scenario() -> None:
        async with started(repository, ObedientServer(input_shape=(-1, 224, 224, 3))) as engine:
            (first, _) = engine.models()["net"]
            assert first.state == State.FAILED
            assert first.error is not None and "[-1, 224, 224, 3]" in first.error
            with pytest.raises(ModelUnavailableError, match="its card says"):
                await engine.acquire(ModelSpec("net", version=1))
            assert engine.problem() == "no inference server has loaded a model yet"

    asyncio.run(scenario())


def test_a_version_that_every_server_failed_to_load_is_failed(repository: Path) -> None:
    async def scenario() -> None:
        server = ObedientServer()
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


# Counting


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("serving.engines.tf_serving.breaker.time", made)
    return made


def test_a_circuit_opens_after_failures_in_a_row_and_lets_one_try(clock: Clock) -> None:
    breaker = CircuitBreaker(failures=3, pause=5)

    def is_open(at: float) -> bool:
        clock.now = at
        return breaker.is_open

    for outcome in (breaker.fail, breaker.fail, breaker.succeed, breaker.fail, breaker.fail):
        outcome()
        assert not is_open(at=0)
    breaker.fail()
    assert [is_open(at=0), is_open(at=4), is_open(at=5)] == [True, True, False]
    breaker.begin()
    assert is_open(at=5)  # for all others
    breaker.fail()
    assert [is_open(at=9), is_open(at=10)] == [True, False]
    breaker.begin()
    breaker.succeed()
    assert not is_open(at=10)


def test_retries_are_a_small_part_of_all_calls() -> None:
    budget = RetryBudget(tokens=20)
    assert [budget.spend() for _ in range(11)] == [True] * 10 + [False]
    for _ in range(10):
        budget.earn()
    assert [budget.spend() for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("text", "target"), [("tf-serving:8500", Target("tf-serving", 8500)), ("[::1]:1", Target("::1", 1))]
)
def test_a_target_is_a_host_and_a_port(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:x", "host:99999", "host:1/path", "me@host:1"])
def test_anything_else_is_no_target(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        Target.parse(text)
