"""What the service tells of its work, to metrics, logs and traces that the core does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard
from serving.core.access import Caller
from serving.core.repository import ModelSpec


class Phase(NamedTuple):
    """A part of the work on a request.

    Attributes:
        name: "queue", "decode", "inference" or "draw".
        started: Seconds of `time.perf_counter` at its begin.
        seconds: Its duration.
    """

    name: str
    started: float
    seconds: float


class ImageSize(NamedTuple):
    """Size of an encoded image: bytes of the file, and pixels that its header declares."""

    bytes: int
    pixels: int


@dataclass(eq=False)
class Work:
    """What one version of a model does for one request, filled in as it is done; the request may fail at any point.

    Attributes:
        model: Name of the model, which is published.
        version: Version that answers.
        card: Card of the version.
        phases: What was done so far, in this order; a name may occur twice.
        sizes: Sizes of the encoded images whose headers were read, in any order.
        probabilities: Scores of all classes, float32 [N, classes]; None until they are known.
    """

    model: str
    version: int
    card: ArtifactCard
    phases: list[Phase] = field(default_factory=list)
    sizes: list[ImageSize] = field(default_factory=list)
    probabilities: NDArray[np.float32] | None = None

    def did(self, started: float, **seconds: float) -> None:
        """Add phases that followed each other.

        Args:
            started: Seconds of `time.perf_counter` at the begin of the first.
            **seconds: Duration of each phase, by name.
        """
        for name, duration in seconds.items():
            self.phases.append(Phase(name, started, duration))
            started += duration

    def seconds(self) -> dict[str, float]:
        """Return the seconds of all phases of each name."""
        total: dict[str, float] = {}
        for name, _, duration in self.phases:
            total[name] = total.get(name, 0.0) + duration
        return total


class Observer(Protocol):
    """Is told what happens, on the event loop, in the context of the request. The methods must be fast."""

    def asked(self, spec: ModelSpec, caller: Caller) -> None:
        """Take note that a request names a model, which may be unknown, and which the caller may not be allowed."""

    def begin(self, work: Work) -> None:
        """Take note that a version works for a request."""

    def end(self, work: Work) -> None:
        """Take note that the work ended: answered, failed, or given up."""
