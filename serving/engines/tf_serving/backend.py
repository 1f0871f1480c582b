"""One server: a connection, what is known of its models, and its circuit breaker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio

from keras_archs.repository.artifact import ArtifactCard
from serving.core.engine import BackendStatus, State
from serving.core.errors import (
    BackendUnavailableError,
    DeadlineExceededError,
    ExplanationUnsupportedError,
    InvalidParameterError,
    OverloadedError,
    ServingError,
)
from serving.engines.tf_serving import messages
from serving.engines.tf_serving.breaker import CircuitBreaker
from serving.engines.tf_serving.protos import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelSpec,
    ModelVersionStatus,
    PredictRequest,
    PredictResponse,
)

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")
STATUS_TIMEOUT = 2.0
SILENCES = 3  # so many questions for the status without an answer mean that nobody is there

_STATES = {
    ModelVersionStatus.START: State.LOADING,
    ModelVersionStatus.LOADING: State.LOADING,
    ModelVersionStatus.AVAILABLE: State.READY,
}


class NotLoadedError(Exception):
    """The server has not loaded the version, or no longer has it. Nothing was computed."""


@dataclass(frozen=True)
class Tls:
    """How to know a server, and to be known by it.

    Attributes:
        authority: Certificates of the authority that signed the server's.
        certificate: Our own certificate, with its chain, and
        key: its key; None where servers do not ask for one.
    """

    authority: bytes
    certificate: bytes | None = None
    key: bytes | None = None

    @classmethod
    def read(cls, authority: Path, certificate: Path | None, key: Path | None) -> Tls:
        """Reads PEM files; OSError if one cannot be read."""
        own = (path.read_bytes() if path else None for path in (certificate, key))
        return cls(authority.read_bytes(), *own)


class Backend:
    """A TensorFlow Serving at one address."""

    def __init__(self, address: str, *, host: str, tls: Tls | None, max_message_bytes: int) -> None:
        """Prepares a connection, which the first question for the status makes.

        Args:
            address: Where it is, as gRPC writes it: "ipv4:192.0.2.1:8500".
            host: The name that its certificate is for.
            tls: None for an unprotected connection.
            max_message_bytes: Largest answer.
        """
        self.address = address
        self.answers = False
        self.states: Mapping[str, Mapping[int, State]] = {}
        self.breaker = CircuitBreaker()
        self._silences = 0
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),  # 4 MB by default
            ("grpc.max_send_message_length", -1),
            ("grpc.default_authority", host),
            ("grpc.enable_http_proxy", 0),
            # the status is asked for all the time, so that a ping is sent only if nothing comes back
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 1_000),  # it is also how long an attempt may take
            ("grpc.max_reconnect_backoff_ms", 2_000),
        ]
        if tls is None:
            self._channel = grpc.aio.insecure_channel(address, options)
        else:
            credentials = grpc.ssl_channel_credentials(tls.authority, tls.key, tls.certificate)
            self._channel = grpc.aio.secure_channel(address, credentials, options)
        self._predict = self._method("PredictionService/Predict", PredictRequest, PredictResponse)
        self._metadata = self._method(
            "PredictionService/GetModelMetadata", GetModelMetadataRequest, GetModelMetadataResponse
        )
        self._status = self._method("ModelService/GetModelStatus", GetModelStatusRequest, GetModelStatusResponse)

    def _method(self, name: str, request: Any, response: Any) -> Any:
        return self._channel.unary_unary(f"/tensorflow.serving.{name}", request.SerializeToString, response.FromString)

    async def close(self, grace: float | None = None) -> None:
        """Closes the connection, after so many seconds if calls are in flight; it is asked nothing any more."""
        self.answers, self.states = False, {}
        await self._channel.close(grace)

    def status(self) -> BackendStatus:
        """How it does."""
        breaker = self.breaker
        return BackendStatus(self.address, self.answers, breaker.is_open, breaker.calls, breaker.failures)

    @property
    def is_connected(self) -> bool:
        """Whether a request would go over a connection that is there; if not, one is begun."""
        state = self._channel.get_state(try_to_connect=True)
        return bool(state == grpc.ChannelConnectivity.READY)

    def ready_versions(self, name: str) -> Collection[int]:
        """The versions of a model that it has loaded."""
        return {version for version, state in self.states.get(name, {}).items() if state == State.READY}

    async def look(self, names: Collection[str]) -> None:
        """Asks for the states of these models. A server that does not answer has none, soon or at once."""
        try:
            found = await asyncio.gather(*(self._states_of(name) for name in names))
        except grpc.aio.AioRpcError as error:
            self._silences += 1
            if error.code() == grpc.StatusCode.UNAVAILABLE or self._silences >= SILENCES:
                if self.answers:
                    log.warning("%s does not answer any more: %s", self.address, error.details())
                self.answers, self.states = False, {}
            return
        if not self.answers:
            log.info("%s answers", self.address)
        self.answers, self._silences, self.states = True, 0, dict(zip(names, found, strict=True))

    async def _states_of(self, name: str) -> dict[int, State]:
        request = GetModelStatusRequest(model_spec=ModelSpec(name=name))
        try:
            response = await self._status(request, timeout=STATUS_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        return {
            one.version: State.FAILED if one.status.error_code else _STATES[one.state]
            for one in response.model_version_status
            if one.status.error_code or one.state in _STATES
        }

    async def check(self, name: str, version: int, card: ArtifactCard) -> None:
        """Checks that what it has loaded is what the card describes.

        Raises:
            UnexpectedAnswerError: It is not.
            grpc.aio.AioRpcError: There was no answer.
        """
        request = GetModelMetadataRequest(
            model_spec=messages.model_spec(name, version), metadata_field=["signature_def"]
        )
        messages.check_signature(await self._metadata(request, timeout=STATUS_TIMEOUT), card)

    async def predict(
        self, request: PredictRequest, read: Callable[[PredictResponse], Answer], *, deadline: float
    ) -> Answer:
        """What a signature gives.

        Args:
            request: For one version of a model.
            read: Makes the answer of a response, or raises UnexpectedAnswerError.
            deadline: When the answer is worth nothing any more, in the event loop's time.

        Raises:
            NotLoadedError: It has not loaded the version, and another server may have.
            ServingError: There is no answer. The request may have been computed all the same.
        """
        self.breaker.begin()
        try:
            response = await self._predict(request, timeout=deadline - asyncio.get_running_loop().time())
            answer = read(response)
        except grpc.aio.AioRpcError as error:
            raise self._understood(error, request.model_spec) from error
        except messages.UnexpectedAnswerError as error:
            self.breaker.fail()
            log.error("%s: %s of %s", self.address, error, request.model_spec.name)
            raise ServingError("the inference server's answer makes no sense; the gateway's log says why") from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and not task.cancelling():  # it is the connection that was closed
                raise BackendUnavailableError("the inference server was taken away; try again") from None
            raise
        self.breaker.succeed()
        return answer

    def _understood(self, error: grpc.aio.AioRpcError, spec: ModelSpec) -> Exception:
        code, details = error.code(), error.details() or ""
        if code == grpc.StatusCode.NOT_FOUND:  # also what it answers while it is loading
            self._forget(spec.name, spec.version.value)
            return NotLoadedError(details)
        if refusal := _refusal(code, details):
            return refusal
        self.breaker.fail()
        log.error("%s answers %s for %s: %s", self.address, code.name, spec.name, details)
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return BackendUnavailableError("the inference server went away while it computed; try again")
        return ServingError("the inference server failed; the gateway's log says how")

    def _forget(self, name: str, version: int) -> None:
        known = {one: state for one, state in self.states.get(name, {}).items() if one != version}
        self.states = {**self.states, name: known}


def _refusal(code: grpc.StatusCode, details: str) -> ServingError | None:
    """What to say of a status that does not speak against the server; None if it does."""
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:  # a client may want an answer in no time
            return DeadlineExceededError("the inference server did not answer in time")
        case grpc.StatusCode.UNAVAILABLE if "scheduling queue" in details:
            return OverloadedError("the inference server's queue is full; try again")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" not in details:
            return OverloadedError("the inference server is out of resources; try again")
        case grpc.StatusCode.INVALID_ARGUMENT if "maximum input batch size" in details:
            return InvalidParameterError("these are more images than the inference server takes at once")
        case grpc.StatusCode.FAILED_PRECONDITION if f'key "{messages.EXPLAIN}" not found' in details:
            return ExplanationUnsupportedError("the inference server's graph has no signature that explains")
    return None
