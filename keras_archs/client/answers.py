"""What the gateway answers, as frozen dataclasses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import ClassScore
from keras_archs.repository.quantization import Quantization


@dataclass(frozen=True)
class Timing:
    """Where the time of a request went, in seconds.

    The images of one request share its time. What is in `total` and in no other field is the network's, and HTTP's.
    """

    decode: float
    """Decoding the images."""
    queue: float
    """Waiting for a free thread."""
    inference: float
    """Running the model."""
    total: float
    """From the request to the end of the answer, as the client saw it; earlier attempts not included."""


@dataclass(frozen=True)
class Classification:
    """The best classes of one image."""

    scores: tuple[ClassScore, ...]
    """Best classes, best first."""
    model: str
    """Name of the model."""
    version: int
    """Version that answered."""
    trained: bool
    """False for randomly initialised weights, whose scores are meaningless."""
    weights: str
    """Training set or source of the weights."""
    multi_label: bool
    """Whether each score stands for itself; False if the scores of all classes add up to 1."""
    arithmetic: str | None
    """Arithmetic of the inference: "f32" (float32), "bf16" (bfloat16), or "int8" where the version is quantized and
    float32 elsewhere; None if the answer does not say."""
    timing: Timing
    """Where the time went."""

    @property
    def best(self) -> ClassScore:
        """The best class."""
        return self.scores[0]


@dataclass(frozen=True)
class ModelInput:
    """Preprocessing of an image for a model."""

    size: tuple[int, int]
    """Height and width, in pixels."""
    channels: int
    """1 for greyscale, 3 for RGB."""
    crop_fraction: float
    """Part of the sides of the largest centred box that the model sees."""
    interpolation: str
    """Interpolation of the resized image."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which places of an image are evidence for a class."""

    explained: ClassScore
    """Explained class and its score."""
    grid: NDArray[np.float32]
    """Class activation map, of shape (rows, columns), over the part of the image that the model sees."""
    input: ModelInput
    """Preprocessing, which says what that part is."""
    model: str
    """Name of the model."""
    version: int
    """Version that answered."""
    trained: bool
    """False for randomly initialised weights, whose map is meaningless."""
    weights: str
    """Training set or source of the weights."""
    arithmetic: str | None
    """Arithmetic of the map, as in `Classification`; never "int8"."""
    timing: Timing
    """Where the time went."""


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model."""

    version: int
    """Number of the version."""
    state: str
    """State, such as "ready", "idle" (loads on first use) or "failed"."""
    labels: tuple[str, ...]
    """Version labels, such as "stable"."""
    error: str | None
    """Why the version cannot be served."""
    arithmetic: str | None
    """Arithmetic of the version's answers, as in `Classification`; None until the version is loaded."""


@dataclass(frozen=True)
class Model:
    """A published model."""

    name: str
    """Name of the model."""
    versions: tuple[ModelVersion, ...]
    """Versions, ascending."""
    problems: tuple[str, ...]
    """What of the model is not served as it was meant to be, and why."""


@dataclass(frozen=True)
class ModelDetails(Model):
    """A published model, and the card of the version that answers."""

    version: int
    """Version that the fields below describe."""
    trained: bool
    """False for randomly initialised weights, whose scores are meaningless."""
    weights: str
    """Training set or source of the weights."""
    multi_label: bool
    """Whether each score stands for itself; False if the scores of all classes add up to 1."""
    created: str
    """When the version was exported, in ISO 8601."""
    input: ModelInput
    """Preprocessing."""
    labels: tuple[str, ...]
    """Class names, by index."""
    explains: bool
    """Whether the model can be asked for explanations."""
    quantization: Quantization | None
    """How the int8 graph of the version was made, and how its answers differ from float32; None if it has none."""
