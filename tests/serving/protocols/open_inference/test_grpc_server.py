"""The gRPC server: who is let in, what is admitted, deadlines, and errors as status codes."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import trustme
from tritonclient.grpc.service_pb2 import (
    ModelInferRequest,
    ModelReadyRequest,
    RepositoryIndexRequest,
    ServerMetadataRequest,
    ServerReadyRequest,
)
from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

from keras_archs import keys
from serving.core.access import Access
from serving.core.admission import Admission
from serving.core.decoding import Decoder
from serving.core.keys import Keys
from serving.core.service import ClassificationService
from serving.engines.embedded import EmbeddedEngine
from serving.protocols.exchanges import Exchange
from serving.protocols.limits import BodyLimits
from serving.protocols.open_inference.grpc_server import GrpcServer, InferenceService
from serving.settings import Settings
from tests.support.fake_runtime import FakeRuntime, eventually, publish

PIXELS = np.zeros((1, 8, 8, 3), np.uint8)
INFER_PATH = "/inference.GRPCInferenceService/ModelInfer"


def infer_request(model: str = "net", *, images: int = 1) -> ModelInferRequest:
    """A request with black images as raw bytes."""
    shape = [images, 8, 8, 3]
    tensor = ModelInferRequest.InferInputTensor(name="images", datatype="UINT8", shape=shape)
    return ModelInferRequest(model_name=model, inputs=[tensor], raw_input_contents=[bytes(images * 192)])


@pytest.fixture
def secrets(tmp_path: Path) -> dict[str, str]:
    """Keys by name: for all models, and for another model; and a key that nobody has."""
    made = {"good": keys.new_secret(), "narrow": keys.new_secret(), "wrong": keys.new_secret()}
    for name, models in {"good": ("*",), "narrow": ("other",)}.items():
        keys.add(tmp_path / "keys.json", name, keys.Key(keys.sha256_of(made[name]), models, datetime.now(UTC)))
    return made


def guarded(folder: Path) -> Access:
    """Access with these keys."""
    return Access([Keys(folder / "keys.json", poll_seconds=60)])


class Record:
    """Keeps the calls that have ended."""

    def __init__(self) -> None:
        self.ended: list[Exchange] = []

    def begin(self, exchange: Exchange) -> None:
        """Do nothing."""

    def end(self, exchange: Exchange) -> None:
        self.ended.append(exchange)


class Served:
    """A running server with version 7 of a model that always predicts class 7 of 20.

    Attributes:
        stub: Client.
        record: Calls that have ended.
        runtime: Computes when the test says so.
        admission: What is admitted at present.
    """

    def __init__(self, runtime: FakeRuntime, admission: Admission) -> None:
        self.runtime = runtime
        self.admission = admission
        self.record = Record()
        self.server: GrpcServer
        self.channel: grpc.aio.Channel
        self.stub: Any


@asynccontextmanager
async def serving(
    repository: Path,
    *,
    access: Access | None = None,
    authority: bytes | None = None,
    max_requests: int = 4,
    not_ready_reason: str | None = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Serve over gRPC on a free port, with a client that trusts `authority`, if it is given."""
    publish(repository, "net", 7)
    served = Served(FakeRuntime(), Admission(max_requests=max_requests, max_bytes=10_000_000))
    engine = EmbeddedEngine(repository, served.runtime, workers=1)
    decoder = Decoder(workers=1, max_pixels=10_000, max_memory=100_000_000)
    service = ClassificationService(engine, decoder, timeout_seconds=10)
    methods = InferenceService(service, lambda: not_ready_reason, max_images=8)
    given = Settings(repository=repository, grpc_port=0, **settings)
    limits = BodyLimits(given.max_body_bytes, given.upload_timeout, given.min_upload_rate)
    served.server = GrpcServer(given, methods, access or Access(), served.admission, limits, [served.record])
    await engine.start()
    await served.server.start()
    target = f"localhost:{served.server.port}"
    credentials = grpc.ssl_channel_credentials(authority) if authority else None
    channel = grpc.aio.secure_channel(target, credentials) if authority else grpc.aio.insecure_channel(target)
    served.channel, served.stub = channel, GRPCInferenceServiceStub(channel)
    try:
        async with channel:
            yield served
    finally:
        served.runtime.may_infer.set()
        await served.server.close()
        await engine.close()
        await service.close()


async def status_of(call: Any) -> grpc.aio.AioRpcError:
    """The error of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value


def metadata_of(error: grpc.aio.AioRpcError) -> dict[str, str]:
    """What the server says besides the status."""
    return {key: str(value) for key, value in error.trailing_metadata()}


def test_a_call_is_answered_and_recorded(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            response = await served.stub.ModelInfer(infer_request(), metadata=[("x-request-id", "mine")])
            scores = np.frombuffer(response.raw_output_contents[0], np.float32)
            assert scores.tolist() == np.eye(20)[7].tolist()
            (exchange,) = served.record.ended
            assert (exchange.endpoint, exchange.method, exchange.path) == ("open-inference", "gRPC", "ModelInfer")
            assert (exchange.status, exchange.problem, exchange.client) == (200, "", "127.0.0.1")
            assert exchange.received == infer_request().ByteSize()
            assert exchange.sent == response.ByteSize()
            assert exchange.header("x-request-id") == "mine"
            assert served.admission.running == 0

    asyncio.run(run())


def test_data_as_contents_are_answered_as_contents(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            request = infer_request()
            del request.raw_input_contents[:]
            request.inputs[0].contents.uint_contents.extend([0] * 192)
            response = await served.stub.ModelInfer(request)
            assert list(response.outputs[0].contents.fp32_contents) == np.eye(20)[7].tolist()
            assert not response.raw_output_contents
            wanted = request.outputs.add(name="probabilities")
            wanted.parameters["classification"].int64_param = 1
            response = await served.stub.ModelInfer(request)
            assert list(response.outputs[0].contents.bytes_contents) == [b"1.000000:7:class 7"]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ([], grpc.StatusCode.UNAUTHENTICATED),
        ([("x-api-key", "{wrong}")], grpc.StatusCode.UNAUTHENTICATED),
        ([("authorization", "Bearer {wrong}")], grpc.StatusCode.UNAUTHENTICATED),
        ([("x-api-key", "{good}"), ("x-api-key", "{good}")], grpc.StatusCode.UNAUTHENTICATED),
        ([("x-api-key", "{narrow}")], grpc.StatusCode.PERMISSION_DENIED),
        ([("x-api-key", "{good}")], None),
        ([("authorization", "Bearer {good}")], None),
    ],
)
def test_a_call_needs_a_key_for_the_model(
    tmp_path: Path, secrets: dict[str, str], metadata: list[tuple[str, str]], code: grpc.StatusCode | None
) -> None:
    sent = [(name, value.format(**secrets)) for name, value in metadata]

    async def run() -> None:
        async with serving(tmp_path / "models", access=guarded(tmp_path)) as served:
            call = served.stub.ModelInfer(infer_request(), metadata=sent)
            if code is None:
                assert (await call).model_version == "7"
            else:
                error = await status_of(call)
                assert error.code() == code
                assert not any(secret in (error.details() or "") for secret in secrets.values())
            assert (await served.stub.ServerReady(ServerReadyRequest())).ready  # as a probe asks it
            assert (
                await status_of(served.stub.ServerMetadata(ServerMetadataRequest()))
            ).code().name == "UNAUTHENTICATED"

    asyncio.run(run())


def test_a_key_for_other_models_does_not_see_what_is_published(tmp_path: Path, secrets: dict[str, str]) -> None:
    async def run() -> None:
        async with serving(tmp_path / "models", access=guarded(tmp_path)) as served:
            index = {
                key: await served.stub.RepositoryIndex(RepositoryIndexRequest(), metadata=[("x-api-key", secrets[key])])
                for key in ("good", "narrow")
            }
            assert [model.name for model in index["good"].models] == ["net"]
            assert not index["narrow"].models

    asyncio.run(run())


def test_a_message_without_a_key_is_not_read(tmp_path: Path, secrets: dict[str, str]) -> None:
    async def run() -> None:
        async with serving(tmp_path / "models", access=guarded(tmp_path)) as served:
            call = served.channel.stream_unary(INFER_PATH)()  # sends no message
            assert (await status_of(call)).code() == grpc.StatusCode.UNAUTHENTICATED

    asyncio.run(run())


def test_too_many_calls_are_refused_with_a_time_to_come_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, access=Access(requests_per_minute=2)) as served:
            for _ in range(2):
                await served.stub.ModelInfer(infer_request())
            error = await status_of(served.stub.ModelInfer(infer_request()))
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            seconds = int(metadata_of(error)["retry-after"])
            assert seconds > 0
            assert metadata_of(error)["grpc-retry-pushback-ms"] == str(1000 * seconds)
            assert served.record.ended[-1].status == 429

    asyncio.run(run())


def test_what_does_not_fit_is_refused_while_what_was_admitted_is_answered(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, max_requests=2) as served:
            served.runtime.may_infer.clear()
            admitted = [asyncio.ensure_future(served.stub.ModelInfer(infer_request())) for _ in range(2)]
            await eventually(lambda: _is(lambda: served.admission.running == 2))
            error = await status_of(served.stub.ModelInfer(infer_request()))
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            assert int(metadata_of(error)["retry-after"]) > 0
            served.runtime.may_infer.set()
            assert [response.model_version for response in await asyncio.gather(*admitted)] == ["7", "7"]
            assert served.admission.running == 0

    asyncio.run(run())


async def _is(condition: Any) -> bool:
    return bool(condition())


def test_the_work_ends_with_the_clients_deadline(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            served.runtime.may_infer.clear()
            error = await status_of(served.stub.ModelInfer(infer_request(), timeout=0.1))
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            await eventually(lambda: _is(lambda: served.admission.running == 0))

    asyncio.run(run())


def test_the_work_ends_with_the_client(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            served.runtime.may_infer.clear()
            call = served.stub.ModelInfer(infer_request())
            await eventually(lambda: _is(lambda: served.admission.running == 1))
            call.cancel()
            await eventually(lambda: _is(lambda: served.admission.running == 0))
            assert served.record.ended[-1].status == 499

    asyncio.run(run())


def test_a_message_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, upload_timeout=0.1) as served:
            error = await status_of(served.channel.stream_unary(INFER_PATH)())
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
            assert "did not arrive within 0.1 s" in (error.details() or "")
            assert served.admission.uploading == 0

    asyncio.run(run())


def test_only_so_many_messages_arrive_at_the_same_time(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, max_requests=2) as served:
            silent = [served.channel.stream_unary(INFER_PATH)() for _ in range(2)]
            await eventually(lambda: _is(lambda: served.admission.uploading == 2))
            error = await status_of(served.stub.ModelInfer(infer_request()))
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            assert "2 messages are arriving" in (error.details() or "")
            for call in silent:
                call.cancel()
            await eventually(lambda: _is(lambda: served.admission.uploading == 0))
            assert (await served.stub.ModelInfer(infer_request())).model_version == "7"

    asyncio.run(run())


def test_a_caller_whose_messages_never_arrive_makes_room_for_others(tmp_path: Path, secrets: dict[str, str]) -> None:
    async def run() -> None:
        async with serving(tmp_path, access=guarded(tmp_path), max_requests=2) as served:
            slow, other = ((("x-api-key", secrets[name]),) for name in ("narrow", "good"))
            older = served.channel.stream_unary(INFER_PATH)(metadata=slow)
            await eventually(lambda: _is(lambda: served.admission.uploading == 1))
            newer = served.channel.stream_unary(INFER_PATH)(metadata=slow)
            await eventually(lambda: _is(lambda: served.admission.uploading == 2))
            assert (await served.stub.ModelInfer(infer_request(), metadata=other)).model_version == "7"
            error = await status_of(newer)
            assert error.code() == grpc.StatusCode.UNAVAILABLE
            assert "another client needs the place" in (error.details() or "")
            assert not older.done()

    asyncio.run(run())


def test_health_checks_without_a_message_take_no_place_from_others(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, max_requests=1) as served:
            served.runtime.may_infer.clear()
            running = served.stub.ModelInfer(infer_request())
            await eventually(lambda: _is(lambda: served.admission.running == 1))
            assert (await served.stub.ServerReady(ServerReadyRequest())).ready
            await served.channel.stream_unary(INFER_PATH.replace("ModelInfer", "ServerLive"))()
            served.runtime.may_infer.set()
            assert (await running).model_version == "7"

    asyncio.run(run())


def test_a_call_without_a_message_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            call = served.channel.stream_unary(INFER_PATH)()
            await call.done_writing()
            error = await status_of(call)
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "no message" in (error.details() or "")

    asyncio.run(run())


@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x05ab", b"\x0a\x01\xff", b"\x03", bytes(100)])
def test_a_malformed_message_is_refused(tmp_path: Path, message: bytes) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            error = await status_of(served.channel.unary_unary(INFER_PATH)(message))
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(run())


def test_a_message_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, max_body_mb=0.001) as served:
            error = await status_of(served.stub.ModelInfer(infer_request(images=8)))
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await served.stub.ModelInfer(infer_request())).model_version == "7"

    asyncio.run(run())


def test_a_compressed_message_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            call = served.stub.ModelInfer(infer_request(images=8), compression=grpc.Compression.Gzip)
            error = await status_of(call)
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(run())


def test_an_unknown_method_is_unimplemented(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            for method in ("ModelConfig", "RepositoryModelLoad", "Nothing"):
                call = served.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")(b"")
                assert (await status_of(call)).code() == grpc.StatusCode.UNIMPLEMENTED

    asyncio.run(run())


def test_an_unexpected_error_tells_nothing_but_the_request_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            monkeypatch.setattr(ClassificationService, "check", lambda *_: 1 / 0)
            error = await status_of(served.stub.ModelInfer(infer_request(), metadata=[("x-request-id", "not an id")]))
            assert error.code() == grpc.StatusCode.INTERNAL
            assert error.details() == "the request could not be answered; the server's log has the details"
            assert re.fullmatch(r"[0-9a-f]{32}", metadata_of(error)["x-request-id"])
            assert served.record.ended[-1].status == 500

    asyncio.run(run())


def test_readiness_is_that_of_the_gateway_and_of_the_version(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path, not_ready_reason="it is still loading") as served:
            assert not (await served.stub.ServerReady(ServerReadyRequest())).ready
            assert (await served.stub.ModelReady(ModelReadyRequest(name="net"))).ready
            error = await status_of(served.stub.ModelReady(ModelReadyRequest(name="net", version="8")))
            assert error.code() == grpc.StatusCode.NOT_FOUND
            served.runtime.broken.add(7)
            await status_of(served.stub.ModelInfer(infer_request()))
            assert not (await served.stub.ModelReady(ModelReadyRequest(name="net"))).ready

    asyncio.run(run())


def test_at_its_end_the_server_finishes_what_it_has_begun(tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(tmp_path) as served:
            served.runtime.may_infer.clear()
            begun = asyncio.ensure_future(served.stub.ModelInfer(infer_request()))
            await eventually(lambda: _is(lambda: served.admission.running == 1))
            closing = asyncio.ensure_future(served.server.close())
            error = await status_of(served.stub.ModelInfer(infer_request()))
            assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
            served.runtime.may_infer.set()
            assert (await begun).model_version == "7"
            await closing

    asyncio.run(run())


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            methods = InferenceService(None, lambda: None, max_images=1)  # type: ignore[arg-type]  # is not asked
            admission = Admission(max_requests=1, max_bytes=1)
            server = GrpcServer(Settings(grpc_port=port), methods, Access(), admission, BodyLimits(1, 1, 1))
            with pytest.raises(OSError, match=f"cannot listen for gRPC on 127.0.0.1:{port}"):
                await server.start()

    asyncio.run(run())


def test_tls_is_that_of_http_and_a_new_certificate_is_used_at_once(tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"

    def renew() -> bytes:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        return authority.cert_pem.bytes()

    async def run() -> None:
        first = renew()
        async with serving(tmp_path / "models", authority=first, tls_certificate=certificate, tls_key=key) as served:
            assert (await served.stub.ModelInfer(infer_request())).model_version == "7"
            second = renew()
            target = f"localhost:{served.server.port}"
            async with grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(second)) as channel:
                assert (await GRPCInferenceServiceStub(channel).ModelInfer(infer_request())).model_version == "7"

    asyncio.run(run())
