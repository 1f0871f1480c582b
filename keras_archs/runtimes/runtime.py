"""The protocol of a runtime: a library that compiles and runs SavedModels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from keras_archs.repository.artifact_card import ArtifactCard

Precision = Literal["f32", "bf16", "auto"]
"""What a person wants graphs in float32 to be computed with: "auto" for bfloat16 where it answers closely enough."""

FloatArithmetic = Literal["f32", "bf16"]
"""What a graph that is not quantized computes with: float32 or bfloat16."""

Arithmetic = Literal["f32", "bf16", "int8"]
"""What a graph computes with: float32, bfloat16, or int8 where the graph is quantized and float32 elsewhere."""


class ActivationMaps(NamedTuple):
    """Outputs of the signature `explain` for N images.

    Attributes:
        maps: Class activation maps, float32 [N, rows, columns]. The mean of a map plus the bias of its class is the
            logit of the class.
        chosen: Class that each map explains, int64 [N].
        probabilities: Probabilities of all classes, float32 [N, classes].
    """

    maps: NDArray[np.float32]
    chosen: NDArray[np.int64]
    probabilities: NDArray[np.float32]


class Embeddings(NamedTuple):
    """Outputs for N images of a version and of its signature `features`.

    Attributes:
        probabilities: Probabilities of all classes, float32 [N, classes].
        features: Input of the last dense layer, float32 [N, D].
    """

    probabilities: NDArray[np.float32]
    features: NDArray[np.float32]


Infer = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Function from an input array to the output array, computed on the calling thread; threads may share it."""

Explain = Callable[[NDArray[np.uint8], NDArray[np.int64]], ActivationMaps]
"""Function from at most `max_batch` images and a class for each to class activation maps.

It computes on the calling thread; threads may share it.
"""

Embed = Callable[[NDArray[np.uint8]], Embeddings]
"""Function from one image [1, H, W, C] to its embedding, computed on the calling thread; threads may share it."""


class Session(Protocol):
    """A compiled version; threads may share it.

    Attributes:
        max_batch: Largest number of images in a call.
        memory: Estimated bytes of memory that the session takes.
        explainer_memory: Estimated bytes of memory that its explainer takes.
        arithmetic: What `infer` computes with; "int8" only for the int8 graph of a quantized version.
        explainer_arithmetic: What the explainer computes with; never "int8".
        tolerance: Largest difference from the reference answers that the runtime's arithmetic explains, as a share of
            the largest probability of the image.
        explainer_tolerance: The same for the explainer.
        remedy: What a person can do if the answers differ by more, as a clause.
    """

    max_batch: int
    memory: int
    explainer_memory: int
    arithmetic: Arithmetic
    explainer_arithmetic: Arithmetic
    tolerance: float
    explainer_tolerance: float
    remedy: str

    def infer(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the probabilities [N, classes] of N <= `max_batch` images [N, H, W, C] on the calling thread."""

    def explainer(self) -> Explain:
        """Compile the signature `explain`; this takes about as much time and memory as `Runtime.load`."""


def size_of(version_dir: Path) -> int:
    """Return the size of a version's files, in bytes."""
    return sum(path.stat().st_size for path in version_dir.rglob("*") if path.is_file())


class Runtime(Protocol):
    """A library that compiles and runs SavedModels.

    The runtimes of this package also have `compile(saved_model, input_shape)`, for SavedModels without a card.
    """

    def estimate_memory(self, version_dir: Path) -> int:
        """Estimate from the files of a version how many bytes of memory it takes when it is loaded."""

    def load(self, version_dir: Path, card: ArtifactCard) -> Session:
        """Compile a published version and run it once. Any exception means that the version cannot be served."""
