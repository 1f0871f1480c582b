"""Encoded images from a request body: raw bytes, multipart files, or JSON with base64.

A mistake gets the same answer in each of the three: `malformed-request` for a body that cannot be parsed,
`invalid-parameter` for no images, too many images or an invalid field, `invalid-image` for an empty image.
"""

from __future__ import annotations

import asyncio

from fastapi import Request
from starlette.datastructures import Headers

from serving.core.errors import InvalidImageError, UnsupportedMediaTypeError
from serving.protocols.rest.form_body import images_from_form
from serving.protocols.rest.json_body import images_from_json

# types that clients send when they declare none: the bytes decide, as they do for every image type
_UNDECLARED = (
    "",
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-www-form-urlencoded",  # curl --data-binary
    "text/plain",
)
_SMALL = 64 * 1024  # bytes that are parsed on the event loop, which takes less time than a thread


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
    _check_encodings(request.headers)
    declared = request.headers.get("content-type", "")
    media_type = declared.partition(";")[0].strip().lower()
    if media_type in _UNDECLARED or media_type.startswith("image/"):
        images = [await _read(request)]
    elif media_type == "multipart/form-data":
        images = await images_from_form(declared, request.stream(), max_images)
    elif media_type == "application/json":
        content = await _read(request)
        if len(content) <= _SMALL:
            images = images_from_json(content, max_images)
        else:
            images = await asyncio.to_thread(images_from_json, content, max_images)
    else:
        raise UnsupportedMediaTypeError(
            f"got {media_type!r}; send an image as image/jpeg or another image type, or images as multipart/form-data "
            "or application/json"
        )
    for number, image in enumerate(images, start=1):
        if not image:
            raise InvalidImageError(f"image {number} is empty")
    return images


def _check_encodings(headers: Headers) -> None:
    """Refuse a body that would have to be decompressed."""
    for name, plain in {"content-encoding": "identity", "transfer-encoding": "chunked"}.items():
        received = ", ".join(headers.getlist(name)).strip().lower()
        if received not in ("", plain):
            raise UnsupportedMediaTypeError(f"got {name} {received!r}; send the body without compression")


async def _read(request: Request) -> bytes:
    """Return the body, which `request.body()` would also keep until the answer."""
    return b"".join([part async for part in request.stream()])
