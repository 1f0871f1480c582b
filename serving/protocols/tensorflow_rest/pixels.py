"""Pixels from nested lists of JSON: about 150,000 numbers an image, which never become Python objects."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serving.core.errors import InvalidParameterError
from serving.protocols.rest.image_count import too_many_images

_SPACE = b" \t\r\n"
_DIGITS = b"0123456789"
_SEPARATORS = b"[],"
_CHUNK = 500_000
"""Characters that are parsed in one call, during which no other thread runs Python."""
_MAX_RANK = 4
"""Levels of lists: images, rows, pixels, channels."""
_SHOWN = 30


def pixels_from_lists(text: bytes, where: str, *, max_images: int | None = None) -> NDArray[np.uint8]:
    """Return nested lists of numbers as an array.

    Args:
        text: A list in valid JSON.
        where: Name of the list in errors.
        max_images: Largest length of the outermost list; None for no limit.

    Raises:
        InvalidParameterError: The lists contain anything but whole numbers from 0 to 255, or are ragged, empty or too
            long.
    """
    others = text.translate(None, _SEPARATORS + _DIGITS + _SPACE)
    if others:
        raise InvalidParameterError(
            f"{where}: a pixel is a whole number from 0 to 255, which the model normalises itself; got "
            f"{_element_with(others[:1], text)}"
        )
    if b"[]" in text.translate(None, _SPACE):
        raise InvalidParameterError(f"{where} has an empty list")
    shape = _shape(text.translate(None, _DIGITS + _SPACE), where)
    if max_images is not None and shape[0] > max_images:
        raise too_many_images(max_images, str(shape[0]))
    numbers = _numbers(text.translate(None, b"[]" + _SPACE))
    too_large = np.flatnonzero(numbers > 255)
    if len(too_large):
        position = "".join(f"[{index}]" for index in np.unravel_index(too_large[0], shape))
        raise InvalidParameterError(f"{where}{position}: a pixel is a whole number from 0 to 255; got a larger number")
    return numbers.astype(np.uint8).reshape(shape)


def _shape(structure: bytes, where: str) -> list[int]:
    """Return the lengths of the lists, outermost first.

    Args:
        structure: Brackets and commas of the lists, without anything else.
        where: Name of the list in errors.
    """
    rank = len(structure) - len(structure.lstrip(b"["))
    if rank > _MAX_RANK:
        raise InvalidParameterError(f"{where} has lists in {rank} levels; images have {_MAX_RANK}")
    lengths: list[int] = []
    inner = b""  # structure of an element
    for depth in range(1, rank + 1):
        # the first list of this depth; the others must be equal to it
        start = rank - depth
        end = structure.find(b"]" * depth, start) + depth
        length = (end - start - 1) // (len(inner) + 1)
        inner = b"[" + (inner + b",") * (length - 1) + inner + b"]"
        if structure[start:end] != inner:
            raise _ragged(where)
        lengths.append(length)
    if structure != inner:
        raise _ragged(where)
    return lengths[::-1]


def _ragged(where: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"{where} is ragged: its lists differ in length or depth, or stand beside numbers; an image is rows of pixels, "
        "and a pixel a list of channels"
    )


def _numbers(text: bytes) -> NDArray[np.uint16]:
    """Return the numbers between commas; 256 for all numbers above 255."""
    parts = []
    start = 0
    while start < len(text):
        end = text.find(b",", start + _CHUNK)
        end = len(text) if end < 0 else end
        parts.append(np.fromstring(text[start:end], np.int64, sep=",").clip(max=256).astype(np.uint16))
        start = end + 1
    return np.concatenate(parts)


def _element_with(character: bytes, text: bytes) -> str:
    """Return the first element of the lists that contains a character."""
    position = text.index(character)
    start = 1 + max(text.rfind(separator, 0, position) for separator in (b"[", b",", b" ", b"\n"))
    shown = text[start : start + _SHOWN].replace(b"]", b",").partition(b",")[0]
    return shown.decode(errors="replace").strip()
