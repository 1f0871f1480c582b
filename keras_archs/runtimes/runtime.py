"""What the embedded engine asks of a library that compiles and runs SavedModels."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact import ArtifactCard

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ActivationMaps(NamedTuple):
    """What the signature `explain` gives for N images.

    Attributes:
        maps: Class activation maps, float32 [N, rows, columns]. The mean of one and its class's bias are the logit.
        chosen: The classes that they are of, int64 [N].
        probabilities: Of all classes, float32 [N, classes].
    """

    maps: NDArray[np.float32]
    chosen: NDArray[np.int64]
    probabilities: NDArray[np.float32]


Explain = Callable[[NDArray[np.uint8], NDArray[np.int64]], ActivationMaps]
"""Makes the maps of at most `max_batch` images, for a class each, on the calling thread; threads may share it."""


class Session(Protocol):
    """A compiled graph that threads may share."""

    max_batch: int

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Probabilities [N, classes] of at most `max_batch` images, computed on the calling thread."""

    def explainer(self) -> Explain:
        """Compiles what explains, which takes about as long and as much memory as `load`."""


class Runtime(Protocol):
    """A library that compiles and runs SavedModels."""

    def load(self, version_dir: Path, card: ArtifactCard) -> Session:
        """Compiles a version; any exception means that it cannot be served."""
