"""The interface of an inference engine. The contract suite in the tests runs over every engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
from keras_archs.runtimes.runtime import ActivationMaps, Arithmetic, Infer
from serving.core.access import Caller
from serving.core.errors import ModelUnavailableError
from serving.core.repository import ModelSpec


class State(StrEnum):
    """Life-cycle state of a version."""

    IDLE = "idle"  # served, and loaded on first use
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class VersionStatus:
    """State and labels of one version of a model.

    Attributes:
        version: Version number.
        state: Life-cycle state.
        labels: Version labels, in alphabetical order.
        error: Why the version failed; None unless the state is FAILED.
        arithmetic: What computes its answers; None unless the state is READY.
    """

    version: int
    state: State
    labels: tuple[str, ...] = ()
    error: str | None = None
    arithmetic: Arithmetic | None = None


@dataclass(frozen=True)
class BackendStatus:
    """State of one inference server behind an engine.

    Attributes:
        address: Address in gRPC's notation, e.g. "ipv4:192.0.2.1:8500"; "dns:tf-serving:8500" for a name that has no
            address at present.
        is_up: Whether the server answered the last status poll.
        circuit_open: Whether the circuit breaker is open, so that no requests are sent.
        calls: Requests sent since the gateway started.
        failures: Requests among `calls` that count as failures of the server.
    """

    address: str
    is_up: bool
    circuit_open: bool
    calls: int
    failures: int


@dataclass(frozen=True)
class Prediction:
    """Class probabilities, float32 [N, classes], and the seconds spent queued and computing."""

    probabilities: NDArray[np.float32]
    queue: float
    inference: float


@dataclass(frozen=True)
class MapPrediction:
    """Class activation maps, the seconds spent queued and computing, and what computed them."""

    activation_maps: ActivationMaps
    queue: float
    inference: float
    arithmetic: Arithmetic


class VersionUnloadedError(ModelUnavailableError):
    """The acquired version is no longer loaded, usually because a newer version replaced it: acquire again."""


class Model(Protocol):
    """A loaded version of a model. An embedded engine keeps it usable for as long as the caller holds it."""

    @property
    def version(self) -> int:
        """Version number."""

    @property
    def card(self) -> ArtifactCard:
        """Model card: preprocessing, labels, provenance."""

    @property
    def arithmetic(self) -> Arithmetic:
        """What computes the probabilities."""

    def per_image(self) -> AbstractContextManager[Infer | None]:
        """Lend the function that computes the probabilities of one image [1, H, W, C] on the calling thread.

        None if images are computed elsewhere, or if batches are faster: then `predict` is the way.
        """

    async def predict(self, images: NDArray[np.uint8], deadline: float, caller: Caller) -> Prediction:
        """Compute class probabilities.

        Args:
            images: Preprocessed images, uint8 [N, H, W, C].
            deadline: Event-loop time, in seconds, after which the answer is useless.
            caller: Who asks; an engine that computes in this process shares its threads fairly.

        Raises:
            VersionUnloadedError: The version was unloaded since `acquire`; only with inference servers.
            ServingError: The prediction failed.
        """

    async def explain(
        self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float, caller: Caller
    ) -> MapPrediction:
        """Compute class activation maps; only for models whose card has `explains` set.

        Args:
            images: Preprocessed images, uint8 [N, H, W, C].
            classes: Class to explain for each image, int64 [N]; `artifact.LIKELIEST` for the most probable class.
            deadline: Event-loop time, in seconds, after which the answer is useless.
            caller: Who asks; an engine that computes in this process shares its threads fairly.

        Raises:
            VersionUnloadedError: The version was unloaded since `acquire`; only with inference servers.
            ServingError: The explanation failed.
        """


class Engine(Protocol):
    """Resolves models and their versions, and runs them."""

    async def start(self) -> None:
        """Start to watch the repository; return once the published models are known."""

    async def close(self) -> None:
        """Finish running work and release all resources."""

    def not_ready_reason(self) -> str | None:
        """Return why the engine cannot serve at present; None if it can."""

    def model_names(self) -> Collection[str]:
        """Return the names of the published models."""

    def model_statuses(self) -> Mapping[str, tuple[VersionStatus, ...]]:
        """Return the status of each published version, ascending, by model name."""

    def problems(self) -> Mapping[str, Sequence[str]]:
        """Return what is not served as it was meant to be, in words, by model name or, for all, `EVERY_MODEL`."""

    def backends(self) -> Sequence[BackendStatus]:
        """Return the state of each inference server; empty for an engine that computes in this process."""

    def check_published(self, spec: ModelSpec) -> None:
        """Raise the errors of `acquire` for a model, version or label that is not served; load nothing."""

    async def resolve(self, spec: ModelSpec) -> tuple[int, ArtifactCard]:
        """Return the version that answers `spec` and its card, without loading the model."""

    async def acquire(self, spec: ModelSpec) -> Model:
        """Return the version that answers `spec`, loaded.

        Raises:
            ModelNotFoundError, VersionNotFoundError, LabelNotFoundError: `spec` selects no published version.
            ModelUnavailableError, BackendUnavailableError: The version is published but cannot answer at present.
        """
