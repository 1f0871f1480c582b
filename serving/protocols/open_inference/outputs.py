"""The tensors of an answer: from the scores of all classes to the requested outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_archs.images.labels import best_classes
from serving.core.errors import InvalidParameterError
from serving.core.service import Scores
from serving.protocols.open_inference.inputs import Parameters
from serving.protocols.open_inference.shown import shown

PROBABILITIES = "probabilities"
"""The output of every model."""


@dataclass(frozen=True)
class Requested:
    """An output that a request asks for.

    Attributes:
        is_binary: Whether to send the data as bytes behind the JSON, over HTTP.
        classes: The number of best classes to return in place of all scores (extension `classification`); None for
            the scores.
    """

    is_binary: bool = False
    classes: int | None = None


@dataclass(frozen=True)
class Output:
    """A tensor of an answer.

    Attributes:
        name: Name of the output.
        datatype: "FP32" for scores, "BYTES" for classes.
        shape: Images, and classes of each.
        elements: Scores, float32 of that shape; or classes, "score:index:label" in UTF-8, in the order of the rows.
    """

    name: str
    datatype: str
    shape: tuple[int, int]
    elements: NDArray[np.float32] | list[bytes]

    def to_bytes(self) -> bytes:
        """Return the elements as the protocol's bytes: little-endian, row by row; each string after its length."""
        if isinstance(self.elements, list):
            return b"".join(len(element).to_bytes(4, "little") + element for element in self.elements)
        return self.elements.astype("<f4", copy=False).tobytes()


def check_one_output(received: int) -> None:
    """Refuse a request that asks for more than one output, before more of it is read.

    Raises:
        InvalidParameterError: `received` is more than one.
    """
    if received > 1:
        raise InvalidParameterError(f"there is one output, {PROBABILITIES!r}; got {received} requested outputs")


def requested_output(name: str, parameters: Parameters, *, all_binary: bool = False) -> Requested:
    """Read the output that a request asks for.

    Args:
        name: Name of the output.
        parameters: Parameters of the output; unknown parameters have no effect.
        all_binary: Whether the request asks for bytes unless the output says otherwise.

    Raises:
        InvalidParameterError: No output has this name, or a parameter is invalid.
    """
    if name != PROBABILITIES:
        raise InvalidParameterError(f"the output is {PROBABILITIES!r}; got {shown(name)}")
    classes = parameters.get("classification")
    # True is an int, too
    if classes is not None and (type(classes) is not int or classes < 1):
        raise InvalidParameterError(f"classification is a number of classes, at least 1; got {shown(classes)}")
    return Requested(flag(parameters, "binary_data", default=all_binary), classes)


def flag(parameters: Parameters, name: str, *, default: bool = False) -> bool:
    """Return a parameter that is true or false.

    Raises:
        InvalidParameterError: It is neither.
    """
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidParameterError(f"{name} is true or false; got {shown(value)}")
    return value


def timeout_of(parameters: Parameters) -> float | None:
    """Return the seconds that a request allows, from its parameter `timeout`, in microseconds; None without it.

    Raises:
        InvalidParameterError: It is no whole number, negative, or beyond 64 bits.
    """
    timeout = parameters.get("timeout", 0)
    if type(timeout) is not int or not 0 <= timeout < 2**64:
        raise InvalidParameterError(f"timeout is a number of microseconds, 0 for none; got {shown(timeout)}")
    return timeout / 1e6 if timeout else None


def output_of(scores: Scores, requested: Requested) -> Output:
    """Return the requested output; fewer classes than requested if the model has no more."""
    images, all_classes = scores.probabilities.shape
    if requested.classes is None:
        return Output(PROBABILITIES, "FP32", (images, all_classes), scores.probabilities)
    count = min(requested.classes, all_classes)
    found = [best for row in scores.probabilities for best in best_classes(row, scores.card.labels, count)]
    elements = [f"{best.score:f}:{best.index}:{best.label}".encode() for best in found]
    return Output(PROBABILITIES, "BYTES", (images, count), elements)
