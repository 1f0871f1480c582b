"""From a request's body to encoded images: raw bytes, multipart files, or JSON with base64."""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from keras_archs.images.preprocessing import MEDIA_TYPES
from serving.core.errors import (
    InvalidImageError,
    InvalidParameterError,
    MalformedRequestError,
    UnsupportedMediaTypeError,
)
from serving.protocols.rest.schemas import ImagesIn

# clients that do not say what they send: the bytes tell
_UNDECLARED = ("", "application/octet-stream")


async def read_images(request: Request, max_images: int) -> list[bytes]:
    """The encoded images of a request, at least one and at most `max_images`.

    Raises:
        ServingError: The body is empty, malformed, of another media type, or has too many images.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in MEDIA_TYPES or media_type in _UNDECLARED:
        images = [await request.body()]
    elif media_type == "multipart/form-data":
        images = await _from_form(request, max_images)
    elif media_type == "application/json":
        images = await asyncio.to_thread(_from_json, await request.body())
    else:
        allowed = ", ".join([*MEDIA_TYPES, "multipart/form-data", "application/json"])
        raise UnsupportedMediaTypeError(f"got {media_type!r}; send one of: {allowed}")
    if len(images) > max_images:
        raise InvalidParameterError(f"a request may have {max_images} images; got {len(images)}")
    for number, image in enumerate(images, start=1):
        if not image:
            raise InvalidImageError(f"image {number} is empty")
    return images


async def _from_form(request: Request, max_images: int) -> list[bytes]:
    try:
        async with request.form(max_files=max_images, max_fields=0) as form:
            return [await _read(name, part) for name, part in form.multi_items()] or _no_files()
    except HTTPException as error:  # Starlette's word for a form that it cannot parse
        raise MalformedRequestError(f"the form cannot be read: {error.detail}") from error


async def _read(name: str, part: UploadFile | str) -> bytes:
    if isinstance(part, str):
        raise MalformedRequestError(f"form field {name!r} is not a file; send images as files")
    return await part.read()


def _no_files() -> list[bytes]:
    raise MalformedRequestError("the form has no files; send each image as a file, under any field name")


def _from_json(body: bytes) -> list[bytes]:
    try:
        request = ImagesIn.model_validate_json(body)
    except ValidationError as error:
        problems: list[Any] = error.errors(include_url=False, include_context=False)
        if any(problem["type"] == "json_invalid" for problem in problems):
            raise MalformedRequestError(problems[0]["msg"]) from error
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in problems]) from error
    return [_from_base64(number, text) for number, text in enumerate(request.images, start=1)]


def _from_base64(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedRequestError(
            f"image {number} is not standard base64 (no data: prefix, no line breaks): {error}"
        ) from error
