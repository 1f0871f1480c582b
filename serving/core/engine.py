"""What the gateway asks of an inference engine. One protocol; the contract suite in the tests runs over all of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard
from keras_archs.runtimes.runtime import ActivationMaps
from serving.core.errors import ModelUnavailableError
from serving.core.repository import ModelSpec


class State(StrEnum):
    """Where a version is in its life."""

    IDLE = "idle"  # served, and loaded on first use
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class VersionStatus:
    """One version of a model: its state, its labels, and why it failed if it did."""

    version: int
    state: State
    labels: tuple[str, ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class BackendStatus:
    """One inference server that an engine asks.

    Attributes:
        address: Where it is.
        answers: Whether it answered when it was last asked for its models.
        left_alone: Whether it has failed so often that nothing is sent to it for now.
        calls: Requests sent to it so far.
        failures: Those of them that speak against it.
    """

    address: str
    answers: bool
    left_alone: bool
    calls: int
    failures: int


@dataclass(frozen=True)
class Prediction:
    """Class probabilities, float32 [N, classes], and the seconds spent waiting and computing."""

    probabilities: NDArray[np.float32]
    queue: float
    inference: float


@dataclass(frozen=True)
class Explanation:
    """Class activation maps, and the seconds spent waiting and computing."""

    found: ActivationMaps
    queue: float
    inference: float


class VersionGoneError(ModelUnavailableError):
    """The version that was acquired is not loaded any more, most likely because a newer one is: acquire again."""


class Model(Protocol):
    """One version, ready to answer. In this process it stays usable for as long as somebody holds it."""

    @property
    def version(self) -> int:
        """The version that answers."""

    @property
    def card(self) -> ArtifactCard:
        """Its card: preprocessing, labels, provenance."""

    async def predict(self, images: NDArray[np.uint8], deadline: float) -> Prediction:
        """Class probabilities of uint8 images [N, H, W, C].

        Args:
            images: For each image the model's input.
            deadline: When the answer is worth nothing any more, in the event loop's time.

        Raises:
            VersionGoneError: Of models in another process only.
            ServingError: There is no answer.
        """

    async def explain(self, images: NDArray[np.uint8], classes: NDArray[np.int64], deadline: float) -> Explanation:
        """Class activation maps of uint8 images [N, H, W, C]. For models only of which the card says `explains`.

        Args:
            images: For each image the model's input.
            classes: For each the class to explain, int64 [N]; `artifact.LIKELIEST` for the likeliest.
            deadline: When the answer is worth nothing any more, in the event loop's time.

        Raises:
            VersionGoneError: Of models in another process only.
            ServingError: There is no answer.
        """


class Engine(Protocol):
    """Finds models and their versions, and runs them."""

    async def start(self) -> None:
        """Begins to watch the models; returns when it is known which there are."""

    async def close(self) -> None:
        """Ends the work in hand and frees everything."""

    def problem(self) -> str | None:
        """Why the engine cannot serve at present, in words; None if it can."""

    def names(self) -> Collection[str]:
        """The models that can be asked for."""

    def models(self) -> Mapping[str, tuple[VersionStatus, ...]]:
        """The same with the status of their versions, ascending."""

    def backends(self) -> Sequence[BackendStatus]:
        """The inference servers that it asks; none if it computes in this process."""

    def check(self, spec: ModelSpec) -> None:
        """Raises what `acquire` would raise if nothing is there that `spec` means; loads nothing."""

    async def card(self, spec: ModelSpec) -> tuple[int, ArtifactCard]:
        """The version that answers `spec` and its card, without loading the model."""

    async def acquire(self, spec: ModelSpec) -> Model:
        """The version that answers `spec`, loaded.

        Raises:
            ModelNotFoundError, VersionNotFoundError, LabelNotFoundError: There is nothing that `spec` means.
            ModelUnavailableError, BackendUnavailableError: There is, but it cannot answer at present.
        """
