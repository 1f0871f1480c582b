"""One inference server: its connection, the states of its models, and its circuit breaker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
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
Outgoing = Callable[[str], AbstractContextManager[Sequence[tuple[str, str]]]]
"""Opens a context around a call to a server, by its address; gives the metadata to send."""
STATUS_TIMEOUT = 2.0  # seconds, for status and metadata calls
MAX_MISSED_POLLS = 3  # consecutive status polls without an answer after which a server counts as down
SUSPICIOUS_SECONDS = 2.0  # without an answer to any prediction, after which the gateway sends a prediction of its own
NO_MODEL = "keras-archs-status-poll"  # asked for while no model is published; the server answers NOT_FOUND

_STATES = {
    ModelVersionStatus.START: State.LOADING,
    ModelVersionStatus.LOADING: State.LOADING,
    ModelVersionStatus.AVAILABLE: State.READY,
}


class NotLoadedError(Exception):
    """The server has not loaded the version, or has unloaded it. Nothing was computed, so another server may try."""


@dataclass(frozen=True)
class Tls:
    """Certificates of the connections to the servers, in PEM format.

    Attributes:
        authority: Certificates of the authority that signed the servers' certificates.
        certificate: The gateway's certificate chain, for mutual TLS; None for server authentication only.
        key: Private key of the gateway's certificate; None for server authentication only.
    """

    authority: bytes
    certificate: bytes | None = None
    key: bytes | None = None

    @classmethod
    def read(cls, authority: Path, certificate: Path | None, key: Path | None) -> Tls:
        """Read PEM files; OSError if a file cannot be read."""
        client = (path.read_bytes() if path else None for path in (certificate, key))
        return cls(authority.read_bytes(), *client)


class Backend:
    """A TensorFlow Serving process at one address.

    Attributes:
        address: Address in gRPC's notation, e.g. "ipv4:192.0.2.1:8500".
        is_up: Whether the server answers status polls.
        states: State of each version by model name, as of the last poll; empty while the server is down.
        admitted: Loaded versions that answer as published, by name and number; only these get requests.
        breaker: Circuit breaker of the predictions.
    """

    def __init__(
        self,
        address: str,
        *,
        host: str,
        tls: Tls | None,
        max_message_bytes: int,
        patience: float,
        outgoing: Outgoing = lambda _: nullcontext(()),
    ) -> None:
        """Prepare a connection, which the first status poll establishes.

        Args:
            address: Address in gRPC's notation.
            host: Host name in the server's certificate.
            tls: None for an unencrypted connection.
            max_message_bytes: Size of the largest response.
            patience: Seconds within which a sound server answers a prediction for one image, whatever its load.
            outgoing: Surrounds each prediction, and gives its metadata.
        """
        self.address = address
        self.is_up = False
        self.states: Mapping[str, Mapping[int, State]] = {}
        self.admitted: set[tuple[str, int]] = set()
        self.breaker = CircuitBreaker()
        self._patience = patience
        self._outgoing = outgoing
        self._missed_polls = 0
        self._was_up: bool | None = None  # None before the first poll
        # the first prediction since the last answer of any kind, and when it was sent
        self._unanswered: tuple[float, PredictRequest] | None = None
        self._probe: asyncio.Task[None] | None = None
        options = [
            ("grpc.max_receive_message_length", max_message_bytes),  # gRPC's default is 4 MB
            ("grpc.max_send_message_length", -1),
            ("grpc.default_authority", host),
            ("grpc.enable_http_proxy", 0),
            # status polls keep the connection busy, so that pings are sent only if the server stops answering
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", 1_000),  # also the time limit of a connection attempt
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
        """Close the connection to new calls; calls in flight have `grace` seconds to finish."""
        self.is_up = False
        self._set_states({})
        if self._probe:
            self._probe.cancel()
        await self._channel.close(grace)

    def status(self) -> BackendStatus:
        """Return the server's state for metrics."""
        breaker = self.breaker
        return BackendStatus(self.address, self.is_up, breaker.is_open, breaker.calls, breaker.failures)

    @property
    def is_connected(self) -> bool:
        """Whether the connection is established; reading the property starts to connect if it is not."""
        state = self._channel.get_state(try_to_connect=True)
        return bool(state == grpc.ChannelConnectivity.READY)

    @property
    def loaded(self) -> set[tuple[str, int]]:
        """The loaded versions, by name and number."""
        return {
            (name, version)
            for name, states in self.states.items()
            for version, state in states.items()
            if state == State.READY
        }

    def ready_versions(self, name: str) -> Collection[int]:
        """Return the versions of a model that get requests."""
        return {version for admitted, version in self.admitted if admitted == name}

    async def poll(self, names: Collection[str]) -> None:
        """Ask for the states of these models, and send a prediction if the server seems to hang.

        A server that refuses connections is down at once; a server that does not answer in time is down after
        `MAX_MISSED_POLLS` polls.
        """
        try:
            states = await asyncio.gather(*(self._states_of(name) for name in names or (NO_MODEL,)))
        except grpc.aio.AioRpcError as error:
            self._missed_polls += 1
            if error.code() == grpc.StatusCode.UNAVAILABLE or self._missed_polls >= MAX_MISSED_POLLS:
                self._set_up(False, error.details())
                self._set_states({})
                self._forget_silence()  # whatever answers next may be another process
            return
        self._set_up(True)
        self._missed_polls = 0
        self._set_states(dict(zip(names, states, strict=False)))
        self._probe_if_silent()

    def _set_states(self, states: Mapping[str, Mapping[int, State]]) -> None:
        self.states = states
        self.admitted &= self.loaded

    def _set_up(self, is_up: bool, reason: str | None = None) -> None:
        """Store whether the server is up, and log changes."""
        self.is_up = is_up
        if is_up != self._was_up:
            log.log(
                logging.INFO if is_up else logging.WARNING,
                "%s is %s",
                self.address,
                "up" if is_up else f"down: {reason}",
            )
        self._was_up = is_up

    async def _states_of(self, name: str) -> dict[int, State]:
        request = GetModelStatusRequest(model_spec=ModelSpec(name=name))
        try:
            response = await self._status(request, timeout=STATUS_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return {}
            raise
        return {
            status.version: State.FAILED if status.status.error_code else _STATES[status.state]
            for status in response.model_version_status
            if status.status.error_code or status.state in _STATES
        }

    async def check_signature(self, name: str, version: int, card: ArtifactCard) -> None:
        """Check that the loaded version has the signature that its card describes.

        Raises:
            UnexpectedAnswerError: The signature differs.
            grpc.aio.AioRpcError: The server did not answer.
        """
        request = GetModelMetadataRequest(
            model_spec=messages.model_spec(name, version), metadata_field=["signature_def"]
        )
        messages.check_signature(await self._metadata(request, timeout=STATUS_TIMEOUT), card)

    async def answer(
        self, name: str, version: int, card: ArtifactCard, images: NDArray[np.uint8]
    ) -> NDArray[np.float32]:
        """Compute the class probabilities of uint8 images [N, H, W, C] for the gateway itself.

        The images are sent one by one, because servers limit the size of a batch.

        Raises:
            UnexpectedAnswerError: The answer does not fit the card.
            grpc.aio.AioRpcError: The server did not answer, or cannot.
        """
        received = []
        for image in images:
            request = messages.predict_request(name, version, image[np.newaxis])
            response = await self._predict(request, timeout=self._patience)
            received.append(messages.probabilities(response, images=1, classes=len(card.labels)))
        return np.concatenate(received)

    async def predict(
        self, request: PredictRequest, parse: Callable[[PredictResponse], Answer], *, deadline: float
    ) -> Answer:
        """Run a signature.

        Args:
            request: Request for one version of a model.
            parse: Converts the response; raises UnexpectedAnswerError if the response does not match the model card.
            deadline: Event-loop time, in seconds, after which the answer is useless.

        Raises:
            NotLoadedError: The server has not loaded the version.
            ServingError: The call failed; the server may have computed the answer nevertheless.
        """
        try:
            answer = parse(await self._send(request, deadline))
        except grpc.aio.AioRpcError as error:
            raise self._to_error(error, request.model_spec) from error
        except messages.UnexpectedAnswerError as error:
            self.breaker.fail()
            log.error("%s: unexpected answer for %s: %s", self.address, request.model_spec.name, error)
            raise ServingError(
                "the inference server's answer does not match the model card; the gateway's log has the details"
            ) from error
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) and not task.cancelling():  # `close` cancelled the call, not the caller
                raise BackendUnavailableError("the inference server was removed during the call; try again") from None
            raise
        self.breaker.succeed()
        return answer

    async def _send(self, request: PredictRequest, deadline: float) -> PredictResponse:
        """Call Predict, and note whether the server answers at all."""
        loop = asyncio.get_running_loop()
        self.breaker.begin()
        self._unanswered = self._unanswered or (loop.time(), request)
        try:
            with self._outgoing(self.address) as metadata:
                response: PredictResponse = await self._predict(
                    request, timeout=deadline - loop.time(), metadata=metadata
                )
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED or loop.time() < deadline:
                self._forget_silence()
            raise
        self._forget_silence()
        return response

    def _forget_silence(self) -> None:
        self._unanswered = None
        self.breaker.answer()

    def _probe_if_silent(self) -> None:
        """Send a prediction of the gateway's own if the server has left predictions without any answer.

        A missed deadline alone does not prove that the server hangs, because a client may set a very short timeout.
        """
        if self._unanswered is None or (self._probe and not self._probe.done()):
            return
        since, request = self._unanswered
        if asyncio.get_running_loop().time() - since >= SUSPICIOUS_SECONDS:
            self._probe = asyncio.create_task(self._send_probe(messages.probe_request(request)), name="probe")

    async def _send_probe(self, request: PredictRequest) -> None:
        """Open the circuit unless the server answers this or any other prediction in time; an answer closes it."""
        started = asyncio.get_running_loop().time()
        try:
            await self._send(request, started + self._patience)
        except grpc.aio.AioRpcError as error:
            if self._unanswered is None or self._unanswered[0] > started:
                self._to_error(error, request.model_spec)
            else:
                if not self.breaker.is_open:
                    log.error("%s hangs: no prediction was answered for %g s", self.address, self._patience)
                self.breaker.hang()
            return
        self.breaker.succeed()

    def _to_error(self, error: grpc.aio.AioRpcError, spec: ModelSpec) -> Exception:
        """Convert a failed call to the error to raise, and count it if it is a failure of the server."""
        code, details = error.code(), error.details() or ""
        if code == grpc.StatusCode.NOT_FOUND:  # TensorFlow Serving also answers NOT_FOUND while it is loading
            self._mark_unloaded(spec.name, spec.version.value)
            return NotLoadedError(details)
        if blameless := _blameless_error(code, details):
            return blameless
        self.breaker.fail()
        log.error("%s answers %s for %s: %s", self.address, code.name, spec.name, details)
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
            return BackendUnavailableError("the connection to the inference server was lost during the call; try again")
        return ServingError("the inference server failed; the gateway's log has the details")

    def _mark_unloaded(self, name: str, version: int) -> None:
        states = {number: state for number, state in self.states.get(name, {}).items() if number != version}
        self._set_states({**self.states, name: states})


def _blameless_error(code: grpc.StatusCode, details: str) -> ServingError | None:
    """Return the error for a status that is not a failure of the server; None for all other statuses."""
    match code:
        case grpc.StatusCode.DEADLINE_EXCEEDED:  # the client may have set a very short timeout
            return DeadlineExceededError("the inference server did not answer in time")
        case grpc.StatusCode.UNAVAILABLE if "scheduling queue" in details:
            return OverloadedError("the inference server's queue is full; try again")
        case grpc.StatusCode.RESOURCE_EXHAUSTED if "larger than max" not in details:
            return OverloadedError("the inference server is out of resources; try again")
        case grpc.StatusCode.INVALID_ARGUMENT if "maximum input batch size" in details:
            return InvalidParameterError("the request has more images than the inference server accepts in one batch")
        case grpc.StatusCode.FAILED_PRECONDITION if f'key "{messages.EXPLAIN}" not found' in details:
            return ExplanationUnsupportedError("the graph on the inference server has no `explain` signature")
    return None
