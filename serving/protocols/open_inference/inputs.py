"""The tensors of a request: which may be sent, and from a tensor to the images of the core.

A request has one of two inputs, which are those of the exported signatures `serving_default` and `serving_bytes`: raw
pixels in the size of the model's input, or encoded images. Sizes are compared before elements are read, so that a
tensor takes no more memory than the body that it came in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import InvalidImageError, InvalidParameterError, MalformedRequestError
from serving.protocols.open_inference.shown import shown
from serving.protocols.rest.image_count import too_many_images

PIXELS, ENCODED = "images", "image_bytes"
DATATYPES: Mapping[str, str] = {PIXELS: "UINT8", ENCODED: "BYTES"}
"""The inputs of every model, and their datatypes."""

_RANKS = {PIXELS: ("[N, H, W, C]", 4), ENCODED: ("[N]", 1)}
_LENGTH = 4
"""Bytes that give the length of an element of BYTES."""

Parameters: TypeAlias = Mapping[str, bool | int | float | str]


class Elements(Protocol):
    """The elements of a tensor, as a request carries them."""

    def numbers(self, count: int) -> NDArray[np.uint8]:
        """Return `count` numbers from 0 to 255.

        Raises:
            MalformedRequestError: There are fewer or more elements, or others.
        """

    def strings(self, count: int) -> list[bytes]:
        """Return `count` byte strings.

        Raises:
            MalformedRequestError: There are fewer or more elements, or others.
        """


@dataclass(frozen=True)
class Tensor:
    """An input of a request.

    Attributes:
        name: Name of the input.
        datatype: Datatype, in the protocol's spelling.
        shape: Sizes, as the client sent them.
        elements: The data.
    """

    name: str
    datatype: str
    shape: Sequence[int]
    elements: Elements


@dataclass(frozen=True)
class Binary:
    """Elements as the protocol's bytes: little-endian, row by row; each string after its length."""

    content: bytes | memoryview

    def numbers(self, count: int) -> NDArray[np.uint8]:
        """Return numbers, which are not copied."""
        check_count(count, len(self.content), "bytes of data")
        return np.frombuffer(self.content, np.uint8)

    def strings(self, count: int) -> list[bytes]:
        """Return strings."""
        content, position, strings = memoryview(self.content), 0, list[bytes]()
        while position < len(content):
            if len(strings) == count:
                raise MalformedRequestError(f"{len(content) - position} bytes follow the last element of a tensor")
            start = position + _LENGTH
            length = int.from_bytes(content[position:start], "little")
            position = start + length
            if position > len(content):
                raise MalformedRequestError(
                    f"element {len(strings) + 1} ends after the tensor's data: an element is its length, as 4 bytes, "
                    f"and as many bytes"
                )
            strings.append(bytes(content[start:position]))
        check_count(count, len(strings), "elements")
        return strings


def check_count(expected: int, received: int, what: str) -> None:
    """Refuse a tensor whose data do not fill its shape.

    Raises:
        MalformedRequestError: `received` is another number.
    """
    if received != expected:
        raise MalformedRequestError(f"the shape of a tensor says {expected} {what}; got {received}")


def check_one_input(received: int) -> None:
    """Refuse a request that has not exactly one input, before more of it is read.

    Raises:
        InvalidParameterError: `received` is another number of inputs than one.
    """
    if received != 1:
        raise InvalidParameterError(f"a request has one input, either {PIXELS!r} or {ENCODED!r}; got {received} inputs")


def images_of(tensor: Tensor, max_images: int) -> list[bytes] | NDArray[np.uint8]:
    """Return the images of a request, as `ClassificationService.score` takes them.

    Args:
        tensor: The input.
        max_images: Largest number of images.

    Raises:
        ServingError: The name, datatype or shape is not that of an input, the data do not fill the shape, or an encoded
            image is empty.
    """
    _check(tensor, max_images)
    if tensor.name == PIXELS:
        return tensor.elements.numbers(math.prod(tensor.shape)).reshape(tensor.shape)
    images = tensor.elements.strings(tensor.shape[0])
    for number, image in enumerate(images, start=1):
        if not image:
            raise InvalidImageError(f"image {number} is empty")
    return images


def _check(tensor: Tensor, max_images: int) -> None:
    if tensor.name not in DATATYPES:
        raise InvalidParameterError(f"the inputs are {PIXELS!r} and {ENCODED!r}; got {shown(tensor.name)}")
    if tensor.datatype != DATATYPES[tensor.name]:
        raise InvalidParameterError(
            f"the datatype of {tensor.name!r} is {DATATYPES[tensor.name]}; got {shown(tensor.datatype)}"
        )
    written, rank = _RANKS[tensor.name]
    if len(tensor.shape) != rank or min(tensor.shape) < 1:
        raise InvalidParameterError(
            f"the shape of {tensor.name!r} is {written}, each at least 1; got {shown(list(tensor.shape[: rank + 1]))}"
        )
    if tensor.shape[0] > max_images:
        raise too_many_images(max_images, shown(tensor.shape[0]))
