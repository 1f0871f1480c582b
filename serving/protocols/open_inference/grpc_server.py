"""The protocol over gRPC: `inference.GRPCInferenceService`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc

from serving.core.access import Access
from serving.core.admission import Admission
from serving.core.service import ClassificationService
from serving.protocols.exchanges import Recorder
from serving.protocols.limits import BodyLimits
from serving.protocols.open_inference import metadata
from serving.protocols.open_inference.grpc_calls import INFER, Call, Calls
from serving.protocols.open_inference.grpc_messages import SERVICE, message_class
from serving.protocols.open_inference.grpc_tensors import parameters_of, requested_of, response_of, tensor_of
from serving.protocols.open_inference.inputs import images_of
from serving.protocols.open_inference.metadata import selected
from serving.protocols.open_inference.outputs import timeout_of
from serving.protocols.threads import SMALL_ANSWER, SMALL_MESSAGE, run
from serving.settings import Settings

_STREAMS = 100
"""Calls of one connection at the same time."""
_IDENTITY = 1
"""gRPC's set of compressions, as bits, that has no compression only: a message has the size that it takes here."""

log = logging.getLogger(__name__)


class InferenceService:
    """The methods of `inference.GRPCInferenceService`."""

    def __init__(
        self, service: ClassificationService, not_ready_reason: Callable[[], str | None], *, max_images: int
    ) -> None:
        """Wrap `service`.

        Args:
            service: Answers the requests.
            not_ready_reason: Returns why the gateway cannot answer requests at present; None if it can.
            max_images: Largest number of images in a request.
        """
        self._service = service
        self._not_ready_reason = not_ready_reason
        self._max_images = max_images

    async def server_live(self, call: Call) -> bytes:
        """Answer as long as the event loop runs."""
        return _message("ServerLiveResponse", live=True)

    async def server_ready(self, call: Call) -> bytes:
        """Tell whether the gateway can answer requests."""
        return _message("ServerReadyResponse", ready=self._not_ready_reason() is None)

    async def server_metadata(self, call: Call) -> bytes:
        """Describe the gateway."""
        return _message("ServerMetadataResponse", **metadata.server_metadata().model_dump())

    async def model_ready(self, call: Call) -> bytes:
        """Tell whether a version can answer requests."""
        spec = selected(call.request.name, call.request.version)
        reason = await metadata.model_not_ready_reason(self._service, spec, call.caller)
        return _message("ModelReadyResponse", ready=reason is None)

    async def model_metadata(self, call: Call) -> bytes:
        """Describe the inputs and outputs of a version."""
        spec = selected(call.request.name, call.request.version)
        described = await metadata.model_metadata(self._service, spec, call.caller)
        return _message("ModelMetadataResponse", **described.model_dump())

    async def repository_index(self, call: Call) -> bytes:
        """List the versions of the models that the caller may use."""
        entries = metadata.index(self._service.engine, call.caller, ready_only=call.request.ready)
        return _message("RepositoryIndexResponse", models=[entry.model_dump() for entry in entries])

    async def model_infer(self, call: Call) -> bytes:
        """Compute the scores of images."""
        request = call.request
        spec = selected(request.model_name, request.model_version)
        self._service.check(spec, call.caller)
        requested = requested_of(request)
        allowed = [seconds for seconds in (call.timeout, timeout_of(parameters_of(request.parameters))) if seconds]
        images = await run(
            lambda: images_of(tensor_of(request), self._max_images), is_small=request.ByteSize() <= SMALL_MESSAGE
        )
        scores = await self._service.score(images, spec, caller=call.caller, timeout_seconds=min(allowed, default=None))
        is_small = scores.probabilities.size <= SMALL_ANSWER
        return await run(lambda: response_of(request, scores, requested), is_small=is_small)


def _message(kind: str, /, **fields: Any) -> bytes:
    message: bytes = message_class(kind)(**fields).SerializeToString()
    return message


class GrpcServer:
    """A server of the protocol, on the event loop that starts it.

    Attributes:
        port: Port that it listens on, once it has been started.
    """

    def __init__(
        self,
        settings: Settings,
        service: InferenceService,
        access: Access,
        admission: Admission,
        limits: BodyLimits,
        recorders: Sequence[Recorder] = (),
    ) -> None:
        """Prepare a server.

        Args:
            settings: Address, port and limits of connections.
            service: Its methods.
            access: Finds out who calls.
            admission: Limits of all requests together.
            limits: Limits on each message; a size beyond that at the start has no effect.
            recorders: Are called with each call when it has ended.
        """
        self.port = 0
        self._settings = settings
        calls = Calls(access, admission, limits=limits, recorders=recorders)
        self._handlers = _handlers(service, calls)
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address is in use or does not exist.
        """
        settings = self._settings
        self._server = grpc.aio.server(
            options=[
                # the processes of one gateway share the connections, which two gateways on one port would do as well
                ("grpc.so_reuseport", int(settings.processes > 1)),
                ("grpc.max_receive_message_length", settings.max_body_bytes),
                ("grpc.max_concurrent_streams", _STREAMS),
                ("grpc.max_allowed_incoming_connections", settings.max_connections),
                ("grpc.server_handshake_timeout_ms", int(1000 * settings.header_timeout)),
                ("grpc.compression_enabled_algorithms_bitset", _IDENTITY),
            ]
        )
        self._server.add_registered_method_handlers(SERVICE, self._handlers)
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        try:
            if settings.tls_certificate and settings.tls_key:
                credentials = _credentials(settings.tls_certificate, settings.tls_key)
                self.port = self._server.add_secure_port(f"{host}:{settings.grpc_port}", credentials)
            else:
                self.port = self._server.add_insecure_port(f"{host}:{settings.grpc_port}")
        except RuntimeError as error:
            raise OSError(f"cannot listen for gRPC on {host}:{settings.grpc_port}") from error
        await self._server.start()
        log.info("gRPC on %s:%d", host, self.port)

    async def close(self) -> None:
        """Take no more calls, and finish those in flight."""
        if self._server is not None:
            await self._server.stop(self._settings.shutdown_timeout)


def _credentials(certificate: Path, key: Path) -> grpc.ServerCredentials:
    """Return credentials whose files are read again for each connection."""

    def read() -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(key.read_bytes(), certificate.read_bytes())])

    return grpc.dynamic_ssl_server_credentials(read(), read)


def _handlers(service: InferenceService, calls: Calls) -> Mapping[str, grpc.RpcMethodHandler]:
    methods: Final = {
        "ServerLive": service.server_live,
        "ServerReady": service.server_ready,
        "ServerMetadata": service.server_metadata,
        "ModelReady": service.model_ready,
        "ModelMetadata": service.model_metadata,
        INFER: service.model_infer,
        "RepositoryIndex": service.repository_index,
    }
    return {
        name: calls.handler(
            name, message_class(f"{name}Request"), method, is_open=name in ("ServerLive", "ServerReady")
        )
        for name, method in methods.items()
    }
