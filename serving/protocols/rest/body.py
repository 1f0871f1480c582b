"""Encoded images from a request body: raw bytes, multipart files, or JSON with base64.

A mistake gets the same answer in each of the three: `malformed-request` for a body that cannot be parsed,
`invalid-parameter` for no images, too many images or an invalid field, `invalid-image` for an empty image.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import sys
from contextlib import aclosing
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from keras_archs.images.preprocessing import MEDIA_TYPES
from serving.core.errors import (
    InvalidImageError,
    InvalidParameterError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)
from serving.protocols.rest.schemas import ImagesBody

# the client declares no type, so the bytes decide
_UNDECLARED = ("", "application/octet-stream")


async def read_images(request: Request, max_images: int) -> list[bytes]:
    """Read the encoded images of a request.

    Args:
        request: Request whose body has not been read.
        max_images: Largest number of images.

    Returns:
        1 to `max_images` byte strings, none of them empty.

    Raises:
        ServingError: The body is malformed, has an unsupported media type or an invalid number of images, or an image
            is empty.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in MEDIA_TYPES or media_type in _UNDECLARED:
        images = [await request.body()]
    elif media_type == "multipart/form-data":
        images = await _from_form(request, max_images)
    elif media_type == "application/json":
        images = await asyncio.to_thread(_from_json, await request.body(), max_images)
    else:
        allowed = ", ".join([*MEDIA_TYPES, "multipart/form-data", "application/json"])
        raise UnsupportedMediaTypeError(f"got {media_type!r}; send one of: {allowed}")
    for number, image in enumerate(images, start=1):
        if not image:
            raise InvalidImageError(f"image {number} is empty")
    return images


def _too_many_images(max_images: int, received: str) -> InvalidParameterError:
    return InvalidParameterError(f"a request may have at most {max_images} images; got {received}")


class _FormParser(MultiPartParser):
    """Starlette's parser, with our answers to too many parts and to a form without its closing boundary."""

    def __init__(self, request: Request, stream: Any, max_images: int) -> None:
        # no limit on the size of a text field, which is refused anyway: BodyLimit bounds the whole body
        super().__init__(request.headers, stream, max_part_size=sys.maxsize)
        self.is_complete = False
        self._parts = 0
        self._max_images = max_images

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > self._max_images:  # before a file is opened for the part
            raise _too_many_images(self._max_images, "a form with more fields")
        super().on_part_begin()

    def on_end(self) -> None:
        self.is_complete = True


async def _from_form(request: Request, max_images: int) -> list[bytes]:
    try:
        async with aclosing(request.stream()) as stream:
            parser = _FormParser(request, stream, max_images)
            form = await parser.parse()
    except MultiPartException as error:
        raise MalformedRequestError(f"the form cannot be read: {error.message}") from error
    try:
        if not parser.is_complete:
            raise MalformedRequestError("the form ends without its closing boundary")
        images = [await _read(name, value) for name, value in form.multi_items()]
    finally:
        await form.close()
    if not images:
        raise InvalidParameterError("a request needs at least one image; the form has no files")
    return images


async def _read(name: str, value: UploadFile | str) -> bytes:
    if isinstance(value, str):
        raise InvalidParameterError(
            f"form field {name!r} is not a file; send images as files, under any field name, and options in the query"
        )
    return await value.read()


def _from_json(body: bytes, max_images: int) -> list[bytes]:
    try:
        texts = ImagesBody.model_validate_json(body).images
    except ValidationError as error:
        problems: list[Any] = error.errors(include_url=False, include_context=False)
        if any(problem["type"] == "json_invalid" for problem in problems):
            raise MalformedRequestError(problems[0]["msg"]) from error
        raise RequestValidationError([{**problem, "loc": ("body", *problem["loc"])} for problem in problems]) from error
    if len(texts) > max_images:
        raise _too_many_images(max_images, str(len(texts)))
    return [_from_base64(number, text) for number, text in enumerate(texts, start=1)]


def _from_base64(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequestError(
            f"image {number} is not standard base64 (no data: prefix, no line breaks): {error}"
        ) from error
